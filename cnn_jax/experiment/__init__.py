"""An experiment: its declaration, its compiled program, its run."""
