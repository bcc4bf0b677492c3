"""The papers' test protocols, their numbers with intervals, ensembles and comparisons."""
