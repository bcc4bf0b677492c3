"""``python -m cnn_jax`` is the command ``cnn-jax``."""

import sys

from cnn_jax.cli import main

if __name__ == "__main__":
    sys.exit(main())
