"""Studies: one question, several arms, several seeds, one report."""
