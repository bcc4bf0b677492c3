from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.layers.dropout import Dropout, row_keys


@partial(jax.jit, static_argnums=2)
def _drop(x, key, rate=0.5):
    return Dropout(rate).apply({}, x, train=True, rngs={"dropout": key})


def test_the_mean_is_kept_and_the_rate_is_the_share_of_zeros(rng):
    dropped = np.asarray(_drop(jnp.ones((100, 1000)), rng, 0.2))
    # 100,000 coins: the share has a deviation of 0.0013, the mean one of 0.0016.
    assert (dropped == 0).mean() == pytest.approx(0.2, abs=0.006)
    assert dropped.mean() == pytest.approx(1.0, abs=0.008)
    np.testing.assert_allclose(dropped[dropped != 0], 1.25, rtol=1e-6)  # float32


def test_evaluation_is_the_identity_and_needs_no_random_stream():
    x = jnp.ones((4, 7))
    assert Dropout(0.5).apply({}, x, train=False) is x
    assert Dropout(0.0).apply({}, x, train=True) is x


def test_the_mask_of_a_row_depends_on_its_position_only(rng):
    x = jnp.ones((8, 50))
    np.testing.assert_array_equal(_drop(x, rng)[:4], _drop(x[:4], rng))


def test_the_mask_is_the_same_on_one_device_and_on_two(rng):
    if jax.device_count() < 2:
        pytest.skip("needs two devices")
    mesh = jax.make_mesh(
        (2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:2]
    )
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    x = jnp.ones((8, 50))
    split = _drop(jax.device_put(x, rows), rng)
    assert len(split.sharding.device_set) == 2
    np.testing.assert_array_equal(split, _drop(x, rng))


def test_rows_steps_and_layers_get_different_masks(rng):
    dropped = np.asarray(_drop(jnp.ones((8, 50)), rng))
    assert len({row.tobytes() for row in dropped}) == 8
    other = np.asarray(_drop(jnp.ones((8, 50)), jax.random.fold_in(rng, 1)))
    assert (dropped != other).any()


def test_row_keys_are_the_key_folded_with_the_position(rng):
    keys = [jax.random.key_data(key) for key in row_keys(rng, 4)]
    for row, key in enumerate(keys):
        folded = jax.random.key_data(jax.random.fold_in(rng, row))
        np.testing.assert_array_equal(key, folded)


def test_the_gradient_passes_where_the_value_did(rng):
    x = jnp.full((2, 20), 3.0)
    gradient = jax.jit(jax.grad(lambda x: _drop(x, rng).sum()))(x)
    np.testing.assert_array_equal(gradient, np.where(_drop(x, rng) > 0, 2.0, 0.0))


@pytest.mark.parametrize("rate", [-0.1, 1.0, 50])
@pytest.mark.parametrize("train", [False, True])
def test_a_rate_outside_its_range_is_refused_even_in_evaluation(rate, train):
    with pytest.raises(ValueError, match=rf"dropout rate {rate} is not in \[0, 1\)"):
        Dropout(rate).apply({}, jnp.ones((1, 1)), train=train)
