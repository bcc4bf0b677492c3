"""Read the arrays of any file of weights."""

from pathlib import Path

import numpy as np

from cnn_jax.weights.file_kinds import file_kind
from cnn_jax.weights.keras_files import read_keras
from cnn_jax.weights.safetensors_files import read_safetensors
from cnn_jax.weights.torch_files import read_torch


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a torch, safetensors or Keras file, by name.

    The content decides, not the extension. Metadata of a safetensors file are left out.

    Raises:
        UserError: it is none of these, or truncated, damaged or refused; one line.
    """
    kind = file_kind(path)
    if kind == "torch":
        return read_torch(path)
    if kind == "keras":
        return read_keras(path)
    return read_safetensors(path)[0]
