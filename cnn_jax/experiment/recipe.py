"""The pure functions of an experiment: initial state, training step, evaluation step."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from cnn_jax.data.augmentation import augment_batch
from cnn_jax.data.cropping import centre_crop
from cnn_jax.data.preprocessing import Preprocessing, apply_preprocessing, to_unit_range
from cnn_jax.errors import UserError
from cnn_jax.experiment.declaration import Experiment
from cnn_jax.layers.tracing import trace_variables
from cnn_jax.optim.parameter_names import matching
from cnn_jax.optim.plateau import plateau_of
from cnn_jax.training.freezing import frozen_normalisations, train_only
from cnn_jax.training.parallel import check_shares, steps_per_dispatch
from cnn_jax.training.state import TrainState, first_state, init_variables
from cnn_jax.training.steps import (
    EvalStep,
    StepOptions,
    TrainStep,
    make_eval_step,
    make_train_step,
)
from cnn_jax.training.tasks import check_loss
from cnn_jax.types import Images, Key, Pixels, Variables


class Facts(NamedTuple):
    """What was learned from the training images before training.

    Attributes:
        preprocessing: mean and deviation.
        augmentation: one tree of arrays for each augmentation.
    """

    preprocessing: Preprocessing
    augmentation: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class PureSteps:
    """Pure functions, not compiled.

    Attributes:
        init: (seed, given variables) -> state before the first step; the given ones, a
            part of the tree, take the place of drawn ones.
        train_step: (state, data, positions [pieces, rows]) -> (state, metrics).
        eval_step: (variables, batch, facts) -> metrics.
        schedule: step -> learning rate, before a plateau's factor.
        pieces: that a step takes its batch in.
    """

    init: Any
    train_step: TrainStep
    eval_step: EvalStep
    schedule: Any
    pieces: int


def pure_steps(
    experiment: Experiment, examples: int, devices: int = 1, axis_name: str | None = None
) -> PureSteps:
    """Return the pure functions of an experiment.

    Args:
        experiment: its seed is not used.
        examples: size of the training split, which gives epochs their length.
        devices: that share each batch.
        axis_name: of the devices, where each runs a step of its own (pmap).

    Raises:
        UserError: a batch that can't be shared or cut into pieces evenly, or a ``freeze``
            pattern that names no parameter, or patterns that name all of them, or a loss
            that does not serve the model's task.
    """
    check_loss(experiment.model, experiment.loss)
    shape = experiment.model.input_shape
    double = experiment.precision == "f64"
    if double and jnp.result_type(float) != jnp.float64:
        raise UserError("precision f64 needs JAX_ENABLE_X64=1 in the environment")
    steps_per_epoch = examples / experiment.batch_size
    schedule = experiment.schedule.build(steps_per_epoch)
    optimizer = experiment.optimizer.build(schedule)
    variables = {"batch_stats": {}} | trace_variables(experiment.model)
    trained = _trained(variables["params"], experiment.freeze)
    if experiment.freeze:
        optimizer = train_only(optimizer, trained)
    plateau = plateau_of(experiment.schedule)
    averaging = experiment.averaging
    rows = _statistics_rows(experiment, devices, seen_by_one=axis_name is not None)
    pieces = experiment.accumulation
    # Statistics of the whole batch need all its pieces side by side.
    recompute = pieces > 1 and rows is None and bool(variables["batch_stats"])
    options = StepOptions(
        auxiliary_weight=experiment.auxiliary_weight,
        statistics_rows=rows,
        recompute=recompute,
        frozen=frozen_normalisations(variables["batch_stats"], trained),
        half=experiment.precision == "bf16",
        average=None if averaging is None else averaging.build(steps_per_epoch),
        axis_name=axis_name,
        unroll=steps_per_dispatch() == 1,
    )

    def init(seed: jax.Array, given: Variables | None = None) -> TrainState:
        variables = _overwrite(init_variables(experiment.model, seed), given or {})
        if double:
            variables = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), variables)
        return first_state(
            variables,
            optimizer,
            seed,
            averaged=experiment.averaging is not None,
            plateau=() if plateau is None else plateau.initial_state(),
        )

    def prepare(key: Key, pixels: Pixels, facts: Facts) -> Images:
        images = to_unit_range(pixels)
        images = augment_batch(experiment.augmentation, facts.augmentation, key, images)
        images = apply_preprocessing(facts.preprocessing, centre_crop(images, shape))
        return images.astype(jnp.float64) if double else images

    def normalize(pixels: Pixels, facts: Facts) -> Images:
        return apply_preprocessing(facts.preprocessing, centre_crop(pixels, shape))

    return PureSteps(
        init=init,
        train_step=make_train_step(
            experiment.model, experiment.loss, optimizer, prepare, options
        ),
        eval_step=make_eval_step(experiment.model, experiment.loss, normalize),
        schedule=schedule,
        pieces=1 if recompute else pieces,
    )


def _trained(params: Any, freeze: tuple[str, ...]) -> Any:
    """Return a bool for each parameter: whether it is trained."""
    if not freeze:
        return jax.tree.map(lambda _: True, params)
    try:
        trained = jax.tree.map(lambda stays: not stays, matching(params, freeze))
    except UserError as error:
        raise UserError(f"freeze: {error}") from None
    if not any(jax.tree.leaves(trained)):
        raise UserError(f"freeze {', '.join(freeze)} leaves no parameter to train")
    return trained


def _statistics_rows(
    experiment: Experiment, devices: int, *, seen_by_one: bool
) -> int | None:
    """Return how many rows batch normalisation takes together, None for the whole batch."""
    size, pieces = experiment.batch_size, experiment.accumulation
    check_shares(size, devices, pieces)
    if experiment.batch_norm == "global":
        return None
    if experiment.batch_norm == "per_replica":
        return size // devices // pieces
    rows, seen = experiment.batch_norm.rows, size // pieces
    if seen_by_one:
        seen //= devices
    if seen % rows:
        share = f", a piece of {size}" if pieces > 1 else ""
        share += f", on each of {devices} devices" if seen_by_one and devices > 1 else ""
        raise UserError(
            f"ghost batches of {rows} rows don't divide the {seen} rows that are taken at "
            f"once{share}"
        )
    return rows


def _overwrite(drawn: Variables, given: Variables) -> Variables:
    """Return ``drawn`` with the leaves that ``given`` has."""
    leaves = flatten_dict(drawn) | flatten_dict(given)
    return {"batch_stats": {}} | unflatten_dict(leaves)
