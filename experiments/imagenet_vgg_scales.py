"""VGG C, D and E at S = 384, and with S drawn from [256, 512]: the better numbers.

Simonyan and Zisserman 2015, Section 3.1: a network for S = 384 starts from the one for S =
256, with a rate of 0.001; one for S drawn from [256, 512] is fine-tuned from that for S =
384, all layers, "with the same configuration". Table 3 evaluates both at Q = 384.

Images are kept at 384 x 384 pixels: so Q is 384, S = 512 is enlarged from 384, and S = 256
is shrunk. The paper does not print how long these runs are, nor the rate of the second:
the epochs and the rate of the first here, which may fall twice, to the same 1e-5.

First ``vgg_d_imagenet``, then these, in the same directory::

    cnn-jax train vgg_d_imagenet_s384
    cnn-jax train vgg_d_imagenet_jitter

All else is the recipe of ``imagenet_vgg.py``.
"""

from dataclasses import replace

from cnn_jax import Experiment
from cnn_jax.data.augmentation import HorizontalFlip, PcaColourNoise
from cnn_jax.data.resized_crop import ScaleJitter
from cnn_jax.experiment.start import StartFrom
from cnn_jax.optim.plateau import ReduceOnPlateau

from .imagenet_vgg import EXPERIMENTS as PRINTED

NAMES = ("vgg_c", "vgg_d", "vgg_e")


def fixed_scale(name: str) -> Experiment:
    """Return the run with S = 384, which starts from that with S = 256."""
    return replace(
        PRINTED[f"{name}_imagenet"],
        question=f"How well does {name} classify ImageNet at a larger scale?",
        image_size=(384, 384),
        schedule=ReduceOnPlateau(
            rate=0.001, factor=0.1, patience=5, min_improvement=0.001, min_rate=1e-5
        ),
        start_from=StartFrom(path=f"runs/{name}_imagenet/imagenet2012-seed0"),
    )


def random_scale(name: str) -> Experiment:
    """Return the run with S drawn from [256, 512], which starts from that with S = 384."""
    return replace(
        fixed_scale(name),
        question=f"How well does {name} classify ImageNet, trained at many scales?",
        augmentation=(
            ScaleJitter(256, 512, 224),
            HorizontalFlip(),
            PcaColourNoise(0.1),
        ),
        start_from=StartFrom(path=f"runs/{name}_imagenet_s384/imagenet2012-seed0"),
    )


EXPERIMENTS = {f"{name}_imagenet_s384": fixed_scale(name) for name in NAMES} | {
    f"{name}_imagenet_jitter": random_scale(name) for name in NAMES
}
