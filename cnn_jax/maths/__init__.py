"""Mathematics in NumPy, without JAX."""
