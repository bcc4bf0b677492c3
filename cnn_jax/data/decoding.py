"""Turn image files that are held in memory into one array.

Any format that Pillow reads: palette, alpha and CMYK become RGB (alpha is dropped), the
EXIF orientation is applied, and of several frames the first is taken.

Plain JPEGs go to simplejpeg where it is installed: both decode by libjpeg-turbo, bit for
bit alike (tested), but it spends less around it.
"""

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnn_jax.data.pixels import check_shape
from cnn_jax.errors import UserError
from cnn_jax.types import ImageShape

if TYPE_CHECKING:
    from PIL import Image as ImageModule

    Picture = ImageModule.Image
else:
    Picture = Any

ORIENTATION = 0x0112  # the EXIF tag
LOSSLESS = ("PNG", "BMP", "PPM", "GIF")
# Files of more bytes than this on average are decoded in threads. On 2 cores that halves
# the time for pictures of 500x500 pixels; for images of 32x32 it gains nothing, because
# the work outside of Python's lock is then too short.
WORTH_A_THREAD = 4096
CHUNK = 64


class ImageFile(NamedTuple):
    """An encoded image, and what to call it in a message."""

    where: str
    content: bytes


class _Header(NamedTuple):
    """What a JPEG file says before its first scan."""

    content: bytes
    mode: str
    size: tuple[int, int]


def decode_images(
    files: Sequence[ImageFile], shape: ImageShape, *, side: int | None = None
) -> np.ndarray:
    """Decode image files to one size.

    An image that has the requested height and width is left untouched. Any other is
    resized, bilinear with antialias, so that it just covers the requested size (for a
    square: its short side becomes the side), and its middle is cut out. Grey and colour
    are converted to what ``shape`` asks for (grey = 0.299 R + 0.587 G + 0.114 B).

    Args:
        files: encoded images.
        shape: height, width, channels (1 or 3) of the result.
        side: refuse images that are not this many pixels high and wide.

    Returns:
        uint8 [N, H, W, C].

    Raises:
        UserError: a file that can't be decoded or is not of size ``side``; the message
            names it.
    """
    check_shape(shape)
    images = np.zeros((len(files), *shape), np.uint8)

    def decode_chunk(start: int) -> None:
        known: _Header | None = None
        for index in range(start, min(start + chunk, len(files))):
            picture, known = _decode(files[index], known)
            _check_side(picture, files[index], side)
            images[index] = np.asarray(_fitted(picture, shape)).reshape(shape)

    threaded = sum(len(f.content) for f in files) > WORTH_A_THREAD * len(files)
    chunk = CHUNK if threaded else max(len(files), 1)
    with ThreadPoolExecutor(os.cpu_count() if threaded else 1) as pool:
        for _ in pool.map(decode_chunk, range(0, len(files), chunk)):
            pass  # so that an error of a thread is raised here
    return images


def decode_image(
    file: ImageFile,
    channels: int,
    size: tuple[int, int] | None = None,
    *,
    side: int | None = None,
) -> np.ndarray:
    """Decode one image file.

    Args:
        file: encoded image.
        channels: 1 or 3.
        size: height and width, to which it is fitted as ``decode_images`` does; None for
            the image's own.
        side: refuse an image that is not this many pixels high and wide.

    Returns:
        uint8 [height, width, channels].

    Raises:
        UserError: it can't be decoded, or is not of size ``side``; the message names it.
    """
    picture, _ = _decode(file, None)
    _check_side(picture, file, side)
    height, width = size or (picture.height, picture.width)
    shape = (height, width, channels)
    check_shape(shape)
    return np.asarray(_fitted(picture, shape)).reshape(shape)


def open_picture(file: ImageFile) -> Picture:
    """Open and decode one file with Pillow, as it is.

    Raises:
        UserError: it can't be decoded.
    """
    from PIL import Image

    try:
        picture = Image.open(io.BytesIO(file.content))
        picture.load()
    except Exception as error:  # Pillow's readers raise all sorts on damaged files
        reason = str(error).split("<_io")[0].strip() or type(error).__name__
        raise UserError(f"{file.where} can't be decoded as an image: {reason}") from None
    return picture


@cache
def _simplejpeg() -> Any:
    """Return the module, None where it is not installed."""
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg


def decoder() -> str:
    """Return what decodes JPEGs here, with versions, for the record of a run."""
    from importlib.metadata import version

    from PIL import features

    turbo = features.version_feature("libjpeg_turbo")
    pillow = f"Pillow {version('pillow')} (libjpeg-turbo {turbo})"
    if _simplejpeg() is None:
        return pillow
    return f"simplejpeg {version('simplejpeg')}, {pillow}"


def _fast_jpeg(content: bytes, header: bytes) -> Picture | None:
    """Decode a grey or colour JPEG that lies upright; None for all that is not so plain."""
    if _simplejpeg() is None or b"Exif\0\0" in header:
        return None
    from PIL import Image

    try:
        kind = _simplejpeg().decode_jpeg_header(content)[2]
        if kind == "Gray":
            return Image.fromarray(_simplejpeg().decode_jpeg(content, "GRAY")[..., 0])
        if kind in ("YCbCr", "RGB"):
            return Image.fromarray(_simplejpeg().decode_jpeg(content, "RGB"))
    except (ValueError, RuntimeError):
        pass  # damaged: Pillow takes it, or says why not
    return None


def _decode(file: ImageFile, known: _Header | None) -> tuple[Picture, _Header | None]:
    """Decode one file to mode L or RGB, upright.

    Pillow takes longer to parse a small JPEG's header than to decode its pixels, and the
    files of one program often share their header to the byte (all of CIFAR-10 (JPEG 75)
    do). A file that begins with the ``known`` header goes straight to Pillow's decoder.
    """
    from PIL import Image, ImageOps

    small = len(file.content) <= WORTH_A_THREAD or _simplejpeg() is None
    if known is not None and small and file.content.startswith(known.content):
        try:
            return Image.frombytes(
                known.mode, known.size, file.content, "jpeg", known.mode, ""
            ), known
        except (ValueError, OSError):
            pass  # damaged: the usual way below says how
    if file.content.startswith(b"\xff\xd8"):
        header = _header_bytes(file.content)
        picture = _fast_jpeg(file.content, header)
        if picture is not None:
            return picture, _Header(header, picture.mode, picture.size)
    opened = open_picture(file)
    upside = opened.getexif().get(ORIENTATION, 1)
    if opened.format == "JPEG" and opened.mode in ("L", "RGB") and upside == 1:
        known = _Header(_header_bytes(file.content), opened.mode, opened.size)
    picture = ImageOps.exif_transpose(opened) if upside != 1 else opened
    return _plain(picture, file.where), known


def _header_bytes(content: bytes) -> bytes:
    """Return a JPEG file up to its first scan (T.81, B.1.1.4: marker, length, content)."""
    position = 2
    while position + 4 <= len(content) and content[position] == 0xFF:
        if content[position + 1] == 0xDA:
            return content[:position]
        position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return content  # fill bytes and the like: only a copy of this file begins so


def _plain(picture: Picture, where: str) -> Picture:
    """Convert any pixel format to L or RGB."""
    from PIL import Image

    if picture.mode in ("L", "RGB"):
        return picture
    if picture.mode.startswith("I;16"):  # 16-bit grey; Pillow's own conversion clips it
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise UserError(
            f"{where} has 32-bit pixels (mode {picture.mode}), expected 8 or 16 bits"
        )
    if picture.mode in ("1", "LA", "La"):
        return picture.convert("L")
    if "transparency" in picture.info:  # from a palette Pillow wants it in two steps
        picture = picture.convert("RGBA")
    return picture.convert("RGB")


def _check_side(picture: Picture, file: ImageFile, side: int | None) -> None:
    if side is not None and picture.size != (side, side):
        width, height = picture.size
        raise UserError(f"{file.where} has {width}x{height} pixels, expected {side}x{side}")


def _fitted(picture: Picture, shape: ImageShape) -> Picture:
    from PIL import Image

    height, width, channels = shape
    mode = "L" if channels == 1 else "RGB"
    if picture.mode != mode:
        picture = picture.convert(mode)
    if picture.size == (width, height):
        return picture
    old_width, old_height = picture.size
    scale = max(width / old_width, height / old_height)
    size = (max(round(old_width * scale), width), max(round(old_height * scale), height))
    resized = picture.resize(size, Image.Resampling.BILINEAR)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return resized.crop((left, top, left + width, top + height))
