"""What ``predict`` and ``scan`` share: image files, the names of classes, protocols."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnn_jax.errors import UserError

if TYPE_CHECKING:
    from cnn_jax.cli.sources import Source
    from cnn_jax.evaluation.protocol import Protocol


def read_image(
    path: Path, channels: int, size: tuple[int, int] | None = None
) -> np.ndarray:
    """Return an image file as uint8 [height, width, channels].

    Colour becomes grey, or grey colour, as the network needs it; see ``data/decoding.py``.

    Args:
        path: of the file.
        channels: 1 or 3.
        size: height and width to which it is fitted; None for its own.

    Raises:
        UserError: it can't be read or decoded; the message names it.
    """
    from cnn_jax.data.decoding import ImageFile, decode_image

    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    return decode_image(ImageFile(str(path), content), channels, size)


def called(names: tuple[str, ...] | None, index: int) -> str:
    """Return the name of a class, or its number where there are no names."""
    return names[index] if names is not None else str(index)


def choose_protocol(
    name: str, source: "Source", weights: str | None
) -> tuple["Protocol", tuple[int, int] | None]:
    """Return a protocol, and the size to which image files are fitted before it.

    ``one-crop`` is what the network's makers do: for a run, what its own test images went
    through; for another library's weights, that library's resizing. Other protocols are the
    papers'.

    Args:
        name: as on the command line.
        source: of the network.
        weights: ``SOURCE/ARCHITECTURE`` of a file of weights.

    Raises:
        UserError: no such protocol.
    """
    from cnn_jax.evaluation.as_stored import AsStored
    from cnn_jax.evaluation.crops import OneCrop
    from cnn_jax.evaluation.protocol import protocol
    from cnn_jax.weights.sources import declared_sources

    rules = protocol(name)
    if name != "one-crop":
        return rules, None
    made = declared_sources().get(weights or "")
    if made is None:
        return AsStored(), source.image_size or source.network.model.input_shape[:2]
    return OneCrop(made.resize_side, made.interpolation), None
