import pytest

from cnn_jax.codec import decode, encode
from cnn_jax.optim.optimizers import RmsProp, Sgd
from cnn_jax.optim.regularization import (
    ClipByGlobalNorm,
    ClipByValue,
    DecoupledDecay,
    MaxNorm,
    Penalty,
)

EVERYTHING = {
    "clip": ClipByGlobalNorm(4.0),
    "penalties": (Penalty(l1=0.01, l2=0.02),),
    "decoupled_decay": DecoupledDecay(0.05),
    "max_norm": MaxNorm(1.5, on="all"),
}


@pytest.mark.parametrize(
    "optimizer",
    [
        Sgd(),
        Sgd(0.95, 5e-4, nesterov=True, rate_inside=True, **EVERYTHING),
        RmsProp(weight_decay=4e-5, decay_biases=False, clip=ClipByValue(2.0)),
        Sgd(penalties=(Penalty(l2=0.1, on=("*/kernel", "fc8")),)),
    ],
)
def test_what_is_written_is_read_back(optimizer):
    assert decode(encode(optimizer)) == optimizer


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Sgd(momentum=1.0), r"momentum 1.0 is not in \[0, 1\)"),
        (lambda: Sgd(momentum=-0.1), "momentum -0.1"),
        (lambda: Sgd(weight_decay=-1e-4), "weight_decay -0.0001"),
        (lambda: Sgd(momentum=0.0, nesterov=True), "nesterov needs a momentum"),
        (lambda: RmsProp(decay=1.0), r"decay 1.0 is not in \[0, 1\)"),
        (lambda: RmsProp(epsilon=0.0), "epsilon 0.0"),
        (lambda: RmsProp(momentum=1.5), "momentum 1.5"),
        (lambda: RmsProp(initial_mean_square=-1.0), "initial_mean_square -1.0"),
    ],
)
def test_bad_numbers_are_refused_when_declared(make, says):
    with pytest.raises(ValueError, match=says):
        make()
