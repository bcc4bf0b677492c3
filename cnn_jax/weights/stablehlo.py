"""Export a network as StableHLO, weights and preprocessing inside, for any batch size.

An exported file can be called without this package, by ``jax.export.deserialize`` or by
another program that reads StableHLO. JAX promises to read it for six months (its
``docs/export/export.md``, "Compatibility guarantees"); to keep a network for longer, write
a safetensors file and export again.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import export

from cnn_jax.data.preprocessing import Preprocessing, apply_preprocessing
from cnn_jax.errors import UserError
from cnn_jax.training.run_directory import write_atomically
from cnn_jax.types import Logits, Pixels, Variables
from cnn_jax.weights.file_kinds import open_file

PLATFORMS = ("cpu", "cuda", "tpu")


def export_stablehlo(
    model: Any,
    variables: Variables,
    preprocessing: Preprocessing,
    path: Path,
    *,
    platforms: Sequence[str] = PLATFORMS,
) -> None:
    """Write a function from pixels to class scores, atomically.

    It takes uint8 images [b, H, W, C] with the ``input_shape`` of the model and any b from
    1 on, applies the preprocessing, and returns what
    ``model.apply(variables, images, train=False)`` does: float32 [b, classes].

    Args:
        model: a module; its ``input_shape`` is (height, width, channels).
        variables: ``params`` and, where there is one, ``batch_stats``.
        preprocessing: what the network was trained with.
        path: of the file; the usual extension is ``.stablehlo``.
        platforms: where it shall run; one program is written for all of them.

    Raises:
        UserError: flatbuffers is missing, or the file can't be written.
        ValueError: JAX does not know one of the platforms.
    """
    try:
        import flatbuffers  # noqa: F401 - jax.export needs it and says so only at the end
    except ImportError:
        raise UserError(
            "StableHLO needs flatbuffers; pip install 'cnn_jax[export]'"
        ) from None

    def scores(pixels: Pixels) -> Logits:
        images = apply_preprocessing(preprocessing, pixels)
        return model.apply(variables, images, train=False)

    (batch,) = export.symbolic_shape("b")
    pixels = jax.ShapeDtypeStruct((batch, *model.input_shape), jnp.uint8)
    exported = export.export(jax.jit(scores), platforms=tuple(platforms))(pixels)
    try:
        write_atomically(path, bytes(exported.serialize()))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None


def read_stablehlo(path: Path) -> export.Exported:
    """Return an exported function; ``.call(pixels)`` runs it.

    The program in the file is compiled as it is: read only what you trust.

    Raises:
        UserError: flatbuffers is missing, or the file can't be read or is no exported
            function.
    """
    with open_file(path) as file:
        content = file.read()
    try:
        return export.deserialize(bytearray(content))
    except ImportError:
        raise UserError(
            "StableHLO needs flatbuffers; pip install 'cnn_jax[export]'"
        ) from None
    except Exception as error:  # flatbuffers checks nothing: anything may come of damage
        raise UserError(
            f"{path} is no StableHLO file of jax.export, or it is damaged "
            f"({type(error).__name__})"
        ) from None
