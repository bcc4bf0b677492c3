"""One idea a file: rows of a table, activations, normalisation, dropout."""
