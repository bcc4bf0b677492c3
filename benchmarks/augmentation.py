"""How fast images are augmented, inside the compiled step: images a second of CPU time.

    python benchmarks/augmentation.py

A batch of 32, uint8, to 224 x 224 float32. CPU time of all threads, so other work on the
machine counts little; elapsed time on 2 free cores is half of it at best.
"""

import time

import jax
import numpy as np

from cnn_jax.data.augmentation import (
    HorizontalFlip,
    PcaColourNoise,
    augment_batch,
    fit_augmentations,
)
from cnn_jax.data.cropping import RandomCrop
from cnn_jax.data.photometric import PhotometricDistortion
from cnn_jax.data.preprocessing import to_unit_range
from cnn_jax.data.resized_crop import RandomResizedCrop, ScaleJitter

BATCH = 32
SECONDS = 2.0
RESIZED, COLOUR = RandomResizedCrop(224, 224), PcaColourNoise(0.1)
CHAINS = {
    "RandomCrop, 224 of 256": (256, (RandomCrop(224, 224),)),
    "RandomResizedCrop, 224 of 256": (256, (RESIZED,)),
    "ScaleJitter 256-480, kept at 256": (256, (ScaleJitter(256, 480, 224),)),
    "ScaleJitter 256-512, kept at 384": (384, (ScaleJitter(256, 512, 224),)),
    "PhotometricDistortion, 224": (224, (PhotometricDistortion(),)),
    "AlexNet: crop, flip, colour": (256, (RandomCrop(224, 224), HorizontalFlip(), COLOUR)),
    "ResNet: jitter, flip, colour": (
        256,
        (ScaleJitter(256, 480, 224), HorizontalFlip(), COLOUR),
    ),
    "GoogLeNet: resized crop, flip, photometric, colour": (
        256,
        (RESIZED, HorizontalFlip(), PhotometricDistortion(), COLOUR),
    ),
}


def main() -> None:
    """Print a line for each."""
    for name, (side, chain) in CHAINS.items():
        shape = (BATCH, side, side, 3)
        images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        facts = fit_augmentations(chain, images)
        step = jax.jit(
            lambda key, images, chain=chain, facts=facts: augment_batch(
                chain, facts, key, to_unit_range(images)
            )
        )
        key = jax.random.key(0)
        jax.block_until_ready(step(key, images))
        start, steps = time.process_time(), 0
        while time.process_time() < start + SECONDS:
            jax.block_until_ready(step(key, images))
            steps += 1
        rate = BATCH * steps / (time.process_time() - start)
        print(f"{name:52}{rate:8,.0f} images/s")


if __name__ == "__main__":
    main()
