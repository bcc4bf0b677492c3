"""The papers' test protocols by name: how an image is resized, cut up, scored, averaged.

Each is a frozen dataclass of the printed numbers, which hold for networks of 224 x 224
pixels; other input sizes scale them (``resizing.scaled``). What is averaged, probabilities
or scores, stands beside the code that does it, with the paper's section.
"""

import typing
from collections.abc import Mapping
from typing import Any

import numpy as np
from jax import Array

from cnn_jax.errors import UserError
from cnn_jax.evaluation.crops import Crops144, FiftyCrop, OneCrop, TenCrop
from cnn_jax.evaluation.dense import DenseEvaluation, MultiScale
from cnn_jax.evaluation.network import Network
from cnn_jax.registry import lookup
from cnn_jax.types import Pixels, task_of


class Protocol(typing.Protocol):
    """One way of asking a network about an image."""

    def resize(self, network: Network, image: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return one uint8 image [h', w', C] for each scale; on the host.

        Images of the same proportions get the same sizes, so they can be one batch.

        Args:
            network: its input size scales the protocol's.
            image: uint8 [h, w, C] of any size.
        """

    def scores(self, network: Network, images: tuple[Pixels, ...]) -> Array:
        """Return log-probabilities, float32 [N, classes]. Pure; the caller compiles it.

        Args:
            network: a classifier; its arrays may be traced.
            images: for each scale uint8 [N, h', w', C], as ``resize`` made them.
        """


PROTOCOLS: Mapping[str, Protocol] = {
    "one-crop": OneCrop(),
    "ten-crop": TenCrop(),
    "fifty-crop": FiftyCrop(),
    "crops-144": Crops144(),
    "multi-scale": MultiScale(),
    "dense": DenseEvaluation(),
}


def protocol(name: str) -> Protocol:
    """Return a protocol by its name on the command line.

    Raises:
        UserError: no such protocol; the message holds near names.
    """
    return lookup(PROTOCOLS, name, what="protocol")


def name_of(rules: Protocol) -> str:
    """Return a protocol's name on the command line, or that of its class."""
    own = (name for name, known in PROTOCOLS.items() if type(known) is type(rules))
    return next(own, type(rules).__name__)


def check_task(what: Any, model: Any) -> None:
    """Refuse a network whose task is not the one that is served.

    Args:
        what: a protocol, which serves classification unless its ``task`` says otherwise,
            or the name of something else that classifies, such as ``"scan"``.
        model: the module.

    Raises:
        UserError: with both tasks by name.
    """
    if task_of(what) != task_of(model):
        name = what if isinstance(what, str) else name_of(what)
        raise UserError(
            f"{name} serves {task_of(what)}; {type(model).__name__} is {task_of(model)}"
        )


def views(rules: Protocol) -> int:
    """Return about how many inputs of the network one image costs; 1 if it doesn't say.

    A batch of ``batch_size // views`` images needs no more memory than ``batch_size``
    images under one crop.
    """
    return getattr(rules, "views", 1)
