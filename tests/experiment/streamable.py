"""Small networks on photographs, for streams."""

import dataclasses

from cnn_jax.data.augmentation import HorizontalFlip, PcaColourNoise
from cnn_jax.data.cropping import RandomCrop
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.layers.residual import BasicBlock
from cnn_jax.layers.residual_network import GlobalAveragePool, ResidualNetwork
from cnn_jax.layers.rows import Classifier, Conv, MaxPool
from cnn_jax.layers.table_network import TableNetwork
from tests.tiny import variant

PHOTOS = variant(
    model=TableNetwork(
        num_classes=2,
        input_shape=(12, 12, 3),
        table=(Conv("conv1", 4, 3), MaxPool("pool1", 2, 2), Classifier("out")),
    ),
    dataset="image-folder",
    image_size=(16, 16),
    normalization=Normalization(mean="pixel"),
    augmentation=(RandomCrop(12, 12), HorizontalFlip(), PcaColourNoise()),
    epochs=2,
    batch_size=8,
)

RESIDUAL = dataclasses.replace(
    PHOTOS,
    model=ResidualNetwork(
        num_classes=2,
        input_shape=(12, 12, 3),
        table=(
            Conv("conv1", 4, 3, padding=1),
            BasicBlock("conv2_1", 4),
            GlobalAveragePool("pool"),
            Classifier("fc"),
        ),
    ),
)

EXPERIMENTS = {
    "photos": PHOTOS,
    "photos_longer": dataclasses.replace(PHOTOS, epochs=40),
    "residual_photos": RESIDUAL,
}
