"""Write the files that ``test_keras_files.py`` reads. Needs Keras; no test runs it.

    pip install keras==3.15.1 h5py torch
    KERAS_BACKEND=torch python tests/weights/make_keras_file_fixtures.py

All values are whole numbers in their order, so that the test can say them again.
"""

import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
from keras import layers

FIXTURES = Path(__file__).parent / "fixtures" / "keras"


def main():
    """Write the same network in Keras' two layouts."""
    FIXTURES.mkdir(parents=True, exist_ok=True)
    model = keras.Sequential(
        [
            keras.Input((4, 4, 2)),
            layers.Conv2D(3, 3, name="block1_conv1"),
            layers.BatchNormalization(name="norm", scale=False),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(2, name="predictions"),
        ]
    )
    weights = [weight for layer in model.layers for weight in layer.weights]
    weights = [weight for weight in weights if "seed" not in weight.name]
    for number, weight in enumerate(weights):
        size = int(np.prod(weight.shape))
        weight.assign(np.arange(size).reshape(weight.shape) + 100 * number)
    model.save(FIXTURES / "whole_model.h5")
    model.save_weights(FIXTURES / "keras3.weights.h5")


if __name__ == "__main__":
    main()
