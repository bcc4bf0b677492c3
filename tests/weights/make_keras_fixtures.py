"""Write the numbers that ``test_keras.py`` compares with. Needs Keras; no test runs it.

    pip install keras==3.15.1 h5py torch
    KERAS_BACKEND=torch python tests/weights/make_keras_fixtures.py

The networks are those of ``keras.applications`` with the weights of ``keras_numbers.py``,
computed in float64 on small images. One file a network, ``fixtures/keras_NAME.json``:
what its weights are called and how large they are, class scores in evaluation and in
training, and of each batch normalisation the moving mean and variance after that one
training pass, first and last channel.
"""

import json
import os
import re
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")
sys.path.insert(0, str(Path(__file__).parents[2]))

import keras
import numpy as np

from tests.weights.keras_numbers import digest, images, weights

FIXTURES = Path(__file__).parent / "fixtures"
CLASSES = 5
#            builder, module with preprocess_input, edge of the images, images
NETWORKS = {
    "vgg16": (keras.applications.VGG16, keras.applications.vgg16, 64, 2),
    "vgg19": (keras.applications.VGG19, keras.applications.vgg19, 64, 2),
    "resnet50": (keras.applications.ResNet50, keras.applications.resnet, 64, 4),
    "resnet101": (keras.applications.ResNet101, keras.applications.resnet, 64, 4),
    "resnet152": (keras.applications.ResNet152, keras.applications.resnet, 64, 4),
    "inceptionv3": (
        keras.applications.InceptionV3,
        keras.applications.inception_v3,
        139,
        4,
    ),
}


def published_names(model):
    """Return the layers with weights by the name that the published files have.

    Keras numbers the layers that have no name of their own through a whole session; the
    files have the numbers of the first network of a session of Keras 2, from 1 on.
    """
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    renamed = {}
    for kind in ("conv2d", "batch_normalization"):
        found = [name for name in layers if re.fullmatch(rf"{kind}(_\d+)?", name)]
        found.sort(key=lambda name: int(name.removeprefix(kind).strip("_") or 0))
        renamed |= {name: f"{kind}_{number}" for number, name in enumerate(found, 1)}
    return {renamed.get(name, name): layer for name, layer in layers.items()}


def fill(model):
    """Give every weight of a network the values of its name; return names and shapes."""
    shapes = {}
    for name, layer in published_names(model).items():
        for weight in layer.weights:
            key = f"{name}/{weight.name}"
            shapes[key] = tuple(weight.shape)
            weight.assign(weights(key, shapes[key]))
    return shapes


def numbers(name):
    """Return what the fixture of one network holds."""
    build, module, edge, count = NETWORKS[name]
    model = build(
        weights=None,
        input_shape=(edge, edge, 3),
        classes=CLASSES,
        classifier_activation=None,
    )
    shapes = fill(model)
    pixels = images(count, edge)
    x = module.preprocess_input(pixels.astype(np.float64))
    evaluated = keras.ops.convert_to_numpy(model(x, training=False))
    trained = keras.ops.convert_to_numpy(model(x, training=True))
    statistics = {}
    for layer_name, layer in published_names(model).items():
        if isinstance(layer, keras.layers.BatchNormalization):
            mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
            ends = (mean[0], mean[-1], variance[0], variance[-1])
            statistics[layer_name] = [float(f"{value:.7g}") for value in ends]
    return {
        "keras": keras.__version__,
        "edge": edge,
        "images": count,
        "parameters": model.count_params(),
        "shapes_sha256": digest(shapes),
        "evaluated": evaluated.tolist(),
        "trained": trained.tolist(),
        "statistics": statistics,
    }


def main():
    """Write every fixture, or those named on the command line."""
    keras.config.set_floatx("float64")
    FIXTURES.mkdir(exist_ok=True)
    for name in sys.argv[1:] or NETWORKS:
        text = json.dumps(numbers(name)).replace("], ", "],\n ")
        (FIXTURES / f"keras_{name}.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
