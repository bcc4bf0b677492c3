"""What holds for every network that a file in ``cnn_jax/models`` declares."""

import dataclasses
import math
import re
from functools import cache
from itertools import pairwise

import jax
import jax.numpy as jnp
import pytest

import cnn_jax
from cnn_jax.analysis.compute import count_macs
from cnn_jax.errors import UserError
from cnn_jax.layers.editing import without
from cnn_jax.layers.tracing import (
    count_parameters,
    is_auxiliary,
    trace_output,
    trace_variables,
)
from cnn_jax.registry import NAME
from tests.models.alike import ALIKE


def models(slow):
    """Parametrise over all networks; those of ``slow`` run with ``-m slow`` only."""
    return pytest.mark.parametrize(
        "name",
        [
            pytest.param(name, marks=pytest.mark.slow) if name in slow else name
            for name in cnn_jax.list_models()
        ],
    )


# What the table claims is checked for (nearly) all; the rest once for each kind.
every_model = models(slow={"resnet1202"})
every_kind = models(slow=ALIKE)
# Seconds a row; tests/layers/test_inception.py edits every row of these.
every_quick_kind = models(
    slow=ALIKE | {"bn_inception", "inception_v3", "googlenet", "googlenet_torchvision"}
)


# What another number of classes changes where it is not the last row alone: drawings that
# nobody learns; a unit for each class below the one that sums it over time.
CHANGED_BY_CLASSES: dict[str, set[str]] = {"lenet5": set(), "tdnn": {"hidden2", "output"}}


@cache
def printed(name):
    """Return the network as printed, and its traced variables."""
    model = cnn_jax.create_model(name)
    return model, trace_variables(model)


def without_its_name(row):
    return {
        f.name: getattr(row, f.name) for f in dataclasses.fields(row) if f.name != "name"
    }


def alike(row, other):
    return type(row) is type(other) and without_its_name(row) == without_its_name(other)


def test_the_networks_of_the_main_job_are_declared():
    assert set(cnn_jax.list_models()) >= {
        "alexnet",
        "alexnet_ungrouped",
        "alexnet_small",
        "lenet5_modern",
        "mnist_net",
        "exercise_cnn",
        "mlp",
    }
    assert cnn_jax.list_models() == sorted(cnn_jax.list_models())


@every_model
def test_the_number_of_parameters_is_the_declared_one(name):
    spec = cnn_jax.model_spec(name)
    if spec.parameters is None:
        pytest.skip("no source allows a count")
    assert count_parameters(spec.build()) == spec.parameters


@every_model
def test_the_number_of_multiply_adds_is_the_declared_one(name):
    spec = cnn_jax.model_spec(name)
    if spec.macs is None:
        pytest.skip("no source allows a count")
    assert count_macs(spec.build()) == spec.macs


@every_model
def test_shapes_are_the_declared_ones(name):
    spec = cnn_jax.model_spec(name)
    model = spec.build()
    assert tuple(model.input_shape) == spec.input_shape
    assert trace_output(model, 3) == (3, *spec.output_shape)
    if spec.task == "classify":
        assert spec.output_shape == (spec.num_classes,) == (model.num_classes,)


@every_kind
def test_names_keep_the_rules(name):
    assert NAME.fullmatch(name)
    model, variables = printed(name)
    rows = [row.name for row in model.table]
    assert len(set(rows)) == len(rows)
    assert all(NAME.fullmatch(row) for row in rows)
    # Parameters stand under the name of a row; what is not a layer of the paper (a
    # learned activation) under the name of its row and a suffix.
    scopes = variables["params"]
    assert all(
        scope in rows or any(scope.startswith(f"{row}_") for row in rows)
        for scope in scopes
    )


@every_model
def test_the_source_is_stated(name):
    spec = cnn_jax.model_spec(name)
    assert spec.paper
    assert spec.source
    assert 1957 < spec.year < 2030  # Rosenblatt's perceptron is the oldest network
    for number in spec.published:
        assert number.protocol
        assert number.source
        assert number.top1 is not None or number.top5 is not None


@every_kind
def test_initialisation_gives_parameters_and_batch_statistics_only(name):
    _, variables = printed(name)
    assert set(variables) <= {"params", "batch_stats"}
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))


@every_kind
def test_initialisation_is_the_same_for_training(name):
    model, variables = printed(name)
    images = jax.ShapeDtypeStruct((1, *model.input_shape), jnp.float32)

    def initialise(images):
        keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
        return model.init(keys, images, train=True)

    assert jax.eval_shape(initialise, images) == variables


@every_kind
def test_images_of_another_rank_or_depth_are_refused_with_both_shapes(name):
    model, variables = printed(name)
    height, width, channels = model.input_shape
    for shape in [
        (height, width, channels),
        (1, height * width * channels),
        (1, height, width, channels + 1),
    ]:
        images = jax.ShapeDtypeStruct(shape, jnp.float32)
        with pytest.raises(ValueError, match="takes") as refusal:
            jax.eval_shape(lambda v, x: model.apply(v, x, train=False), variables, images)
        message = str(refusal.value)
        assert str(shape) in message
        assert f"{height}, {width}, {channels}" in message


@every_kind
def test_another_number_of_classes_changes_the_last_row_only(name):
    spec = cnn_jax.model_spec(name)
    if spec.task != "classify":
        pytest.skip("the output is not one score a class")
    model = cnn_jax.create_model(name, num_classes=7)
    assert trace_output(model, 2) == (2, 7)
    params = trace_variables(model)["params"]
    before = printed(name)[1]["params"]
    # Auxiliary heads, which only training runs, have classifiers of their own.
    changed = {s for s in params if params[s] != before[s] and not is_auxiliary(s)}
    assert changed == CHANGED_BY_CLASSES.get(name, {model.table[-1].name})


@every_kind
def test_the_last_row_is_the_classifier(name):
    model = cnn_jax.create_model(name)
    last = model.table[-1].name
    with pytest.raises(UserError, match=f"{last} is the classifier"):
        without(model, last)


@every_quick_kind
def test_every_other_row_can_be_removed_or_the_refusal_names_a_layer(name):
    model, _ = printed(name)
    rows = [row.name for row in model.table]
    # Of neighbours that differ in their names only, any one gives the same network.
    distinct = [row.name for row, after in pairwise(model.table) if not alike(row, after)]
    for row in distinct:
        try:
            edited = without(model, row)
        except UserError as refusal:
            reason = str(refusal).removeprefix(f"{type(model).__name__} without {row}: ")
            named = re.match(r"[a-z0-9_]+", reason)
            assert named, reason
            assert named.group() in rows, reason
        else:
            assert [r.name for r in edited.table] == [r for r in rows if r != row]


@every_kind
def test_an_unknown_field_is_an_error(name):
    with pytest.raises(TypeError, match="number_of_classes"):
        cnn_jax.create_model(name, number_of_classes=3)


@every_kind
def test_parameters_and_multiply_adds_fit_one_another(name):
    # Each weight is used at least once for every image, each bias never.
    model, variables = printed(name)
    params = variables["params"]
    kernels = [scope["kernel"] for scope in params.values() if "kernel" in scope]
    assert count_macs(model) >= sum(math.prod(kernel.shape) for kernel in kernels)
