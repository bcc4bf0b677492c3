"""The handwritten digits that come with scikit-learn: real images without a download.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, 1998; the 1,797 images of its test part, as
    ``sklearn.datasets.load_digits`` returns them: 8x8 pixels, 0 to 16.
"""

import numpy as np

from cnn_jax.data.dataset import Dataset, Split, Splits
from cnn_jax.data.fingerprint import fingerprint
from cnn_jax.data.order import random_order
from cnn_jax.data.pixels import check_shape, resize_grey, with_channels
from cnn_jax.types import ImageShape

TRAIN, VALIDATION, TEST = 1000, 297, 500
SPLIT_KEY = 1797  # of the fixed permutation; never a run's seed


def open_digits() -> Dataset:
    """Open ``digits``: 1,000 training, 297 validation and 500 test images, always the same.

    The 1,797 images are put into a fixed order (``random_order(1797, SPLIT_KEY)``); the
    first 1,000 are for training, the next 297 for validation, the last 500 for the test.
    The repository's own split is by writer, this one is not: the same people wrote
    training and test images.

    ``read`` maps 0..16 to 0..255 and enlarges bilinearly from 8x8 to the requested height
    and width, unequal factors included; three channels repeat the grey one.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = ((bunch.images * 255 + 8) // 16).astype(np.uint8)
    labels = bunch.target.astype(np.int32)
    order = random_order(len(labels), SPLIT_KEY)
    parts = np.split(order, [TRAIN, TRAIN + VALIDATION])

    def read(shape: ImageShape) -> Splits:
        check_shape(shape)
        height, width, channels = shape
        scaled = with_channels(resize_grey(images, height, width), channels)
        return Splits(*(Split(scaled[part], labels[part]) for part in parts))

    return Dataset(
        name="digits",
        label="digits (scikit-learn, 8x8 upscaled)",
        classes=tuple("0123456789"),
        channels=1,
        fingerprint=fingerprint(
            [
                ("images", images[order].tobytes()),
                ("labels", labels[order].astype("<i4").tobytes()),
            ]
        ),
        read=read,
    )
