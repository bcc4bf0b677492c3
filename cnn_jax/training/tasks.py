"""Which losses train which networks: each serves one task, what the output means."""

from typing import Any

from cnn_jax.errors import UserError
from cnn_jax.training.losses import (
    LabelSmoothing,
    Loss,
    cross_entropy,
    sigmoid_cross_entropy,
    squared_error,
)
from cnn_jax.training.map_loss import MaximumAPosteriori
from cnn_jax.training.structured_losses import (
    multi_head_cross_entropy,
    multi_label_cross_entropy,
    sequence_cross_entropy,
)
from cnn_jax.types import task_of

LOSSES: tuple[Any, ...] = (
    cross_entropy,
    LabelSmoothing,
    sigmoid_cross_entropy,
    squared_error,
    MaximumAPosteriori,
    multi_head_cross_entropy,
    sequence_cross_entropy,
    multi_label_cross_entropy,
)
"""Every loss of the package: functions, and classes of which an instance is one."""


def check_loss(model: Any, loss: Loss) -> None:
    """Refuse a loss that does not serve the model's task.

    Raises:
        UserError: with the loss, the task of the model and the losses that do; for a model
            that no loss trains, what does.
    """
    task, network = task_of(model), type(model).__name__
    if task == "unsupervised":
        raise UserError(
            f"{network} is unsupervised: no loss trains it; it learns by its own rule, "
            f"model.learn(variables, images)"
        )
    if task_of(loss) != task:
        fitting = [other.__name__ for other in LOSSES if task_of(other) == task]
        name = getattr(loss, "__name__", type(loss).__name__)
        raise UserError(
            f"{name} serves {task_of(loss)}; {network} is {task}, which is served by "
            f"{', '.join(fitting)}"
        )
