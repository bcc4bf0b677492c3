import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnn_jax
from cnn_jax.errors import UserError
from cnn_jax.layers.activations import Maxout
from cnn_jax.layers.auxiliary_head import AuxiliaryHead
from cnn_jax.layers.batch_norm import BatchNorm
from cnn_jax.layers.batch_norm_conv import ConvNorm, ConvStyle, same_padding
from cnn_jax.layers.editing import replace, resize
from cnn_jax.layers.inception import (
    DropoutRow,
    Fork,
    InceptionModule,
    InceptionNetwork,
    ModuleRow,
    Pool,
    Unit,
    pool_branch,
)
from cnn_jax.layers.rows import Classifier
from cnn_jax.layers.tracing import count_parameters, is_auxiliary, trace_variables
from cnn_jax.maths.geometry import WindowError

HEAD = AuxiliaryHead("aux1", 2, 2, 3, 8, dropout=0.5)
NETWORK = InceptionNetwork(
    num_classes=5,
    input_shape=(4, 4, 3),
    table=(ConvNorm("conv1", 6, 3), HEAD, DropoutRow("dropout", 0.5), Classifier("out")),
    batch_norm=BatchNorm(),
)


@pytest.mark.parametrize(
    ("size", "window", "stride", "before", "after"),
    [
        (224, 7, 2, 2, 3),  # conv1 of BN-Inception: 112 outputs
        (28, 3, 2, 0, 1),
        (7, 3, 2, 1, 1),  # 4 outputs
        (14, 3, 1, 1, 1),
        (5, 1, 2, 0, 0),
        (6, 4, 1, 1, 2),
    ],
)
def test_the_larger_half_of_the_padding_comes_after_the_image(
    size, window, stride, before, after
):
    assert same_padding(size, window, stride) == (before, after)


def test_a_mean_divides_by_the_pixels_inside_the_image_or_by_all():
    x = jnp.asarray([[1.0, 2.0], [3.0, 6.0]]).reshape(1, 2, 2, 1)
    pool = Pool("average", 3)
    # Every 3 x 3 window holds all four pixels.
    inside = pool_branch(x, pool, count_padding=False)
    np.testing.assert_allclose(inside.ravel(), [3.0] * 4, rtol=1e-6)  # 12 / 4
    whole = pool_branch(x, pool, count_padding=True)
    np.testing.assert_allclose(whole.ravel(), [12 / 9] * 4, rtol=1e-6)


def test_padding_never_wins_a_maximum():
    x = -jnp.asarray([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    largest = pool_branch(x, Pool("max", 3), count_padding=True)
    np.testing.assert_array_equal(largest.ravel(), [-1.0] * 4)


def test_a_valid_pool_is_cut_at_the_border():
    x = jnp.arange(25.0).reshape(1, 5, 5, 1)
    pooled = pool_branch(x, Pool("average", 3, 2, "valid"), count_padding=False)
    # Means of 3 x 3 windows are their centres: 6, 8, 16, 18.
    np.testing.assert_allclose(pooled.ravel(), [6, 8, 16, 18], rtol=1e-6)
    with pytest.raises(WindowError, match="a window of 6 does not fit 5 pixels"):
        pool_branch(x, Pool("max", 6, 1, "valid"), count_padding=False)


ONES = ConvStyle(initializer=jax.nn.initializers.ones)


def _module(branches, style=ONES):
    return InceptionModule(branches, style)


def _apply(module, x):
    variables = module.init(jax.random.key(0), x, train=False)
    return np.asarray(module.apply(variables, x, train=False))


def test_branches_are_concatenated_in_their_order_and_forks_within_them():
    x = jnp.ones((1, 1, 1, 2))
    branches = (
        (Unit("a", 1),),  # 2
        (Unit("b", 3), Fork(((Unit("c", 1),), (Unit("d", 2), Unit("e", 1))))),  # 6; 12
        (Pool("max", 1),),  # 1, 1
    )
    np.testing.assert_array_equal(_apply(_module(branches), x).ravel(), [2, 6, 12, 1, 1])


def test_a_maxout_unit_has_as_many_outputs_as_the_row_says():
    x = jnp.ones((2, 3, 3, 2))
    style = ConvStyle(activation=Maxout(3))
    module = _module(((Unit("a", 4),), (Unit("b", 5, (3, 3)),)), style)
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), x, train=False))
    assert variables["params"]["a"]["kernel"].shape == (1, 1, 2, 12)
    shape = jax.eval_shape(lambda v: module.apply(v, x, train=False), variables).shape
    assert shape == (2, 3, 3, 9)


def test_batch_normalisation_takes_the_place_of_biases():
    params = trace_variables(NETWORK)["params"]
    assert set(params) == {"conv1", "conv1_norm", "aux1", "out"}
    assert set(params["conv1"]) == {"kernel"}
    biased = trace_variables(NETWORK.clone(batch_norm=None))
    assert set(biased) == {"params"}
    assert set(biased["params"]["conv1"]) == {"kernel", "bias"}


def _sown(model, variables, **options):
    images = jnp.ones((2, *model.input_shape))
    keys = {"dropout": jax.random.key(1)}

    def apply(variables):
        return model.apply(
            variables, images, rngs=keys, mutable=["batch_stats", "aux_logits"], **options
        )[1]

    return jax.eval_shape(apply, variables)


def test_the_scores_of_heads_appear_in_training_only():
    variables = trace_variables(NETWORK)
    assert set(variables) == {"params", "batch_stats"}
    training = _sown(NETWORK, variables, train=True)
    assert [leaf.shape for leaf in jax.tree.leaves(training["aux_logits"])] == [(2, 5)]
    assert "aux_logits" not in _sown(NETWORK, variables, train=False)
    off = NETWORK.clone(auxiliary_heads=False)
    assert "aux_logits" not in _sown(off, trace_variables(off), train=True)


def test_initialising_for_training_makes_the_same_variables():
    images = jnp.ones((1, *NETWORK.input_shape))
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    training = jax.eval_shape(lambda: NETWORK.init(keys, images, train=True))
    assert training == trace_variables(NETWORK)


def test_heads_do_not_count():
    # conv1 and its norm, the classifier on 4 x 4 x 6 values.
    main = 27 * 6 + 12 + 96 * 5 + 5
    assert count_parameters(NETWORK) == main
    assert count_parameters(NETWORK.clone(auxiliary_heads=False)) == main
    assert is_auxiliary("aux1")
    assert not is_auxiliary("conv_aux")


def test_a_head_hands_on_what_it_is_given(draw):
    images = draw.standard_normal((2, 4, 4, 3), np.float32)
    traced = trace_variables(NETWORK)
    ones = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), traced)
    bare = {
        kind: {scope: tree for scope, tree in scopes.items() if scope != "aux1"}
        for kind, scopes in ones.items()
    }
    off = NETWORK.clone(auxiliary_heads=False)
    np.testing.assert_array_equal(
        NETWORK.apply(ones, images, train=False), off.apply(bare, images, train=False)
    )


def test_the_loss_of_a_head_reaches_the_head_and_the_layers_below_it_alone(draw):
    table = (*NETWORK.table[:2], ConvNorm("conv2", 4, 3), NETWORK.table[-1])
    model = NETWORK.clone(table=table, batch_norm=None)
    params = jax.tree.map(
        lambda leaf: draw.standard_normal(leaf.shape).astype(np.float32),
        trace_variables(model)["params"],
    )
    images = draw.standard_normal((2, 4, 4, 3), np.float32)

    def loss(params):
        keys = {"dropout": jax.random.key(0)}
        _, sown = model.apply(
            {"params": params}, images, train=True, rngs=keys, mutable=["aux_logits"]
        )
        return sum(leaf.sum() for leaf in jax.tree.leaves(sown))

    largest = jax.jit(
        lambda p: jax.tree.map(lambda leaf: abs(leaf).max(), jax.grad(loss)(p))
    )(params)
    moved = {scope: all(jax.tree.leaves(tree)) for scope, tree in largest.items()}
    assert moved == {"conv1": True, "aux1": True, "conv2": False, "out": False}


def test_a_heads_name_begins_with_aux():
    with pytest.raises(ValueError, match="side: the name of an auxiliary head begins with"):
        AuxiliaryHead("side")
    with pytest.raises(ValueError, match="aux1: window = -1; a whole number"):
        AuxiliaryHead("aux1", window=-1)


def test_a_module_row_must_spell_out_its_branches():
    with pytest.raises(NotImplementedError):
        _ = ModuleRow("inception").branches


WRONG = {
    "a: features = 0; a whole number of at least 1 is needed": (Unit("a", 0),),
    "a: features = 2.5; a whole number of at least 1 is needed": (Unit("a", 2.5),),
    "a: stride = 0; a whole number of at least 1 is needed": (Unit("a", 1, stride=0),),
    "a: kernel = 0; a whole number of at least 1 is needed": (Unit("a", 1, (0, 3)),),
    "padding 'half' is not one of 'same', 'valid'": (Unit("a", 1, padding="half"),),
    "pool 'min' is not one of 'max', 'average'": (Pool("min"),),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_branch_that_makes_no_sense_is_refused_with_the_reason(message):
    with pytest.raises(ValueError, match=re.escape(message)):
        _apply(_module((WRONG[message],)), jnp.ones((1, 4, 4, 2)))


@pytest.mark.parametrize(
    "name",
    [
        "bn_inception",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("googlenet", "googlenet_small", "inception_v3")
        ),
    ],
)
def test_every_row_is_replaced_by_its_like_and_resized_or_refused(name):
    model = cnn_jax.create_model(name)
    rows = {row.name: row for row in model.table}
    assert replace(model, **rows) == model
    resized = []
    for row in model.table:
        if hasattr(row, "features"):
            edited = resize(model, **{row.name: 8})
            assert {r.name: r for r in edited.table}[row.name].features == 8
            resized.append(row.name)
        else:
            with pytest.raises(UserError, match=f"{row.name} has no features to resize"):
                resize(model, **{row.name: 8})
    stem = {"googlenet": 3, "googlenet_small": 3, "bn_inception": 3, "inception_v3": 5}
    heads = {"googlenet": 2, "googlenet_small": 2, "bn_inception": 0, "inception_v3": 1}
    assert len(resized) == stem[name] + heads[name]
