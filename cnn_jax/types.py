"""The names of the arrays that flow through the package, and what a model declares."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar

import jax
from jaxtyping import Array, Float, Int, UInt8

Pixels = UInt8[Array, "batch height width channels"]
"""Images as stored: 0 to 255."""
Images = Float[Array, "batch height width channels"]
"""Images as a network sees them: preprocessed, float32."""
Features = Float[Array, "batch ..."]
"""What flows between two layers."""
Labels = Int[Array, "batch ..."]
"""What is right: a class each; for other tasks more, see ``training/structured_losses``."""
Logits = Float[Array, "batch ..."]
"""Scores, larger is better: [N, classes] where the task is to classify."""
Key = jax.Array
"""A typed JAX random key (``jax.random.key``)."""
Variables = dict[str, Any]
"""A Linen variable tree: ``params`` and, where there is one, ``batch_stats``."""
ImageShape = tuple[int, int, int]
"""Height, width, channels."""

Task = Literal["classify", "multi_label", "multi_head", "sequence", "unsupervised"]
"""What an output means: one class; a set of them; a number as its length and digits; a
class at each place of a sequence; nothing that labels could say."""

_Declaring = TypeVar("_Declaring", bound=Callable[..., Any])


def task_of(declared: Any) -> Task:
    """Return the task of a model, or the one that a loss or a protocol serves.

    It is their attribute ``task``; what has none classifies.
    """
    while isinstance(declared, partial):
        declared = declared.func
    task: Task = getattr(declared, "task", "classify")
    return task


def serves(task: Task) -> Callable[[_Declaring], _Declaring]:
    """Return a decorator that writes the ``task`` of a function down."""

    def declare(function: Any) -> Any:
        function.task = task
        return function

    return declare


class Batch(NamedTuple):
    """One batch; ``mask`` is 1.0 for an example and 0.0 for padding."""

    images: Images
    labels: Labels
    mask: Float[Array, " batch"]


@dataclass(frozen=True, kw_only=True)
class Published:
    """One error that the paper printed.

    Attributes:
        top1: top-1 error in percent, None if not printed.
        top5: top-5 error in percent, None if not printed.
        protocol: how it was measured, e.g. ``"ILSVRC-2012 val, 1 net, 10 crops"``.
        source: the table it stands in.
    """

    top1: float | None = None
    top5: float | None = None
    protocol: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Printed:
    """One total as a source prints it, for the printed input; ours may differ.

    Attributes:
        quantity: what it counts.
        figure: as printed, e.g. ``"138 million"``.
        source: where it stands.
    """

    quantity: Literal["parameters", "multiply-adds"]
    figure: str
    source: str


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """What a file in ``models/`` declares about one network.

    Attributes:
        build: makes the module; every argument has a default.
        input_shape: height, width, channels of the printed network.
        output_shape: shape of the output for one image.
        num_classes: classes of the printed network.
        parameters: trainable parameters without auxiliary heads; a tested claim. None
            where no source allows a count.
        macs: multiply-adds of convolutions and dense layers; a tested claim.
        paper: short name, e.g. ``"Krizhevsky et al."``.
        year: of publication.
        source: title, venue, table or figure.
        task: what the output means.
        published: the paper's own errors.
        printed: the paper's own totals.
    """

    build: Callable[..., Any]
    input_shape: ImageShape
    num_classes: int
    parameters: int | None
    macs: int | None
    paper: str
    year: int
    source: str
    output_shape: tuple[int, ...] = ()
    task: Task = "classify"
    published: tuple[Published, ...] = ()
    printed: tuple[Printed, ...] = ()

    def __post_init__(self) -> None:
        if not self.output_shape:
            object.__setattr__(self, "output_shape", (self.num_classes,))
