"""VGG B, C, D and E as the paper started them: from layers of a trained A.

Simonyan and Zisserman 2015, Section 3.1: "we initialised the first four convolutional
layers and the last three fully-connected layers with the layers of net A (the intermediate
layers were initialised randomly). We did not decrease the learning rate for the
pre-initialised layers".

The first four convolutions are those of A: conv1_1 (3 to 64 maps), conv2_1 (64 to 128),
conv3_1 (128 to 256), conv3_2 (256 to 256). By name they fit every deeper network; by
position they do not, for the second of B to E is conv1_2, 64 to 64 maps. A's other four
(conv4_1 ... conv5_2) would fit by name too, and are drawn, as the paper says.

First A, then any of them, in the same directory::

    cnn-jax train vgg_a_imagenet
    cnn-jax train vgg_d_imagenet_staged

What is drawn is drawn as in ``imagenet_vgg.py``: Glorot and Bengio's weights, not the
printed Gaussian (``cnn_jax/models/vgg.py``, Departures). All else is that file's recipe.
"""

from dataclasses import replace

from cnn_jax.experiment.start import StartFrom

from .imagenet_vgg import EXPERIMENTS as PRINTED

FROM_A = (
    *("conv1_1", "conv2_1", "conv3_1", "conv3_2"),
    *("fc6", "fc7", "fc8"),
)

EXPERIMENTS = {
    f"{name}_imagenet_staged": replace(
        PRINTED[f"{name}_imagenet"],
        question=f"How well does {name} classify ImageNet when it starts from A?",
        start_from=StartFrom(path="runs/vgg_a_imagenet/imagenet2012-seed0", copy=FROM_A),
    )
    for name in ("vgg_b", "vgg_c", "vgg_d", "vgg_e")
}
