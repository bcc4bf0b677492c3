"""What must hold of a table, of its rows and of the images that go into it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cnn_jax.maths.geometry import WindowError
from cnn_jax.types import Images, ImageShape


@contextmanager
def named(row: Any, shape: tuple[int, ...]) -> Iterator[None]:
    """Add the row's name and its input shape to the error of a window that is too big.

    Raises:
        WindowError: with the name of the layer where the image vanishes.
    """
    try:
        yield
    except WindowError as error:
        raise WindowError(f"{row.name}: {error} (its input is {shape[1:]})") from None


def check_names(table: tuple[Any, ...]) -> None:
    """Raise ``ValueError`` if two rows of a table have one name."""
    twice = [name for name, times in Counter(r.name for r in table).items() if times > 1]
    if twice:
        raise ValueError(f"layer names must be unique; used twice: {', '.join(twice)}")


def check_row(row: Any) -> None:
    """Raise ``ValueError`` unless the counts of a row are whole numbers from 1 on."""
    for field in ("features", "kernel", "size", "stride", "groups"):
        value = getattr(row, field, 1)
        if not isinstance(value, int) or value < 1:
            raise ValueError(
                f"{row.name}: {field} = {value}; a whole number of at least 1 is needed"
            )


def check_images(images: Images, input_shape: ImageShape) -> None:
    """Raise ``ValueError`` unless ``images`` are [N, H, W, C] with the right channels."""
    if images.ndim != 4 or images.shape[-1] != input_shape[-1]:
        raise ValueError(
            f"images have shape {images.shape}; this network takes "
            f"[N, H, W, {input_shape[-1]}], e.g. (N, {', '.join(map(str, input_shape))})"
        )
