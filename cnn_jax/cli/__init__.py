"""The command line ``cnn-jax``: one file a subcommand, each a dataclass of plain types."""

from cnn_jax.cli.main import main

__all__ = ["main"]
