"""Turn the examples of original files into records."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnn_jax.data.collection import Part
from cnn_jax.data.decoding import ImageFile, decode_image, open_picture
from cnn_jax.errors import UserError

JPEG, PNG = b"\xff\xd8", b"\x89PNG"
QUALITY = 100  # as TFDS re-encodes the odd files of ImageNet
DIGITS = {"svhn_cropped": 6}
"""Digits of an example's number in its id, where they are not 5."""


@dataclass(frozen=True, kw_only=True)
class Serialize:
    """What the records of a dataset look like.

    Attributes:
        name: of the dataset in TFDS.
        version: of the dataset.
        features: of TFDS.
        facts: further metadata for TFDS.
    """

    name: str
    version: str
    features: Any
    facts: dict[str, Any]

    def record(self, split: str, part: Part, position: int, side: int | None) -> bytes:
        """Return one example as a record.

        Args:
            split: its name in TFDS.
            part: the split's examples.
            position: of the example.
            side: height and width that it must have; None for any.

        Raises:
            UserError: the image can't be read or decoded; the message names it.
        """
        example: dict[str, bytes | int] = {"label": int(part.labels[position])}
        if isinstance(part.images, np.ndarray):
            example["image"] = encode(part.images[position], "PNG")
            name = ""
        else:
            file = part.images.read(position)
            all_jpeg = self.name == "imagenet2012"
            example["image"] = checked_image(file, all_jpeg=all_jpeg, side=side)
            name = part.images.name(position).rsplit("/", 1)[-1]
        if "id" in self.features:
            number = f"{position:0{DIGITS.get(self.name, 5)}d}"
            example["id"] = f"{split}_{number}".encode()
        for key in ("file_name", "image/filename"):
            if key in self.features:
                example[key] = name.encode("utf-8", "surrogateescape")
        if part.coarse_labels is not None:
            example["coarse_label"] = int(part.coarse_labels[position])
        return serialize(example)


def serialize(example: Mapping[str, bytes | int]) -> bytes:
    """Return a ``tf.train.Example``, as TFDS serializes it."""
    from tensorflow_datasets.proto import tf_example_pb2

    record = tf_example_pb2.Example()
    for name, value in example.items():
        feature = record.features.feature[name]
        if isinstance(value, bytes):
            feature.bytes_list.value.append(value)
        else:
            feature.int64_list.value.append(value)
    return record.SerializeToString(deterministic=True)


def checked_image(file: ImageFile, *, all_jpeg: bool, side: int | None = None) -> bytes:
    """Return an image file that decodes as JPEG or PNG, grey or RGB.

    A JPEG keeps its bytes, and so does a PNG; what is CMYK or of another format is encoded
    once more.

    Args:
        file: as it was found.
        all_jpeg: encode as JPEG what has to be encoded, and PNG files too; else as PNG,
            without loss.
        side: height and width that it must have; None for any.

    Raises:
        UserError: it can't be decoded, or is not of size ``side``; the message names it.
    """
    picture = _quickly_opened(file)
    if side is not None and picture.size != (side, side):
        width, height = picture.size
        raise UserError(f"{file.where} has {width}x{height} pixels, expected {side}x{side}")
    kept = (JPEG,) if all_jpeg else (JPEG, PNG)
    if file.content.startswith(kept) and picture.mode != "CMYK":
        return file.content
    return encode(decode_image(file, 3), "JPEG" if all_jpeg else "PNG")


def encode(image: np.ndarray, kind: str) -> bytes:
    """Return an image, uint8 [H, W, 1 or 3], as a PNG or JPEG file."""
    from PIL import Image

    written = io.BytesIO()
    options = {"quality": QUALITY, "subsampling": 0} if kind == "JPEG" else {}
    Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).save(
        written, kind, **options
    )
    return written.getvalue()


def _quickly_opened(file: ImageFile) -> Any:
    """Decode a file to see that it can be done; a JPEG at an eighth of its size.

    ``size`` of what is returned is that of the file.
    """
    from PIL import Image

    try:
        picture = Image.open(io.BytesIO(file.content))
        size = picture.size
        if picture.format == "JPEG" and min(size) >= 16:
            picture.draft(None, (1, 1))
            picture.load()
            return _Looked(picture.mode, size)
    except Exception:  # Pillow raises all sorts; what is said below
        pass
    return open_picture(file)


@dataclass(frozen=True)
class _Looked:
    mode: str
    size: tuple[int, int]
