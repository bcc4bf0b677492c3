import dataclasses
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.layers.batch_layout import BatchLayout, batch_layout, current_layout


def test_by_default_all_rows_are_at_hand():
    layout = current_layout()
    assert (layout.first_row, layout.axis_name, layout.statistics_rows) == (0, None, None)
    assert layout.frozen == frozenset()


def test_a_layout_holds_inside_and_the_one_around_it_comes_back():
    outer, inner = BatchLayout(first_row=4), BatchLayout(axis_name="data")
    with batch_layout(outer):
        with batch_layout(inner):
            assert current_layout() is inner
        assert current_layout() is outer
    assert current_layout() == BatchLayout()


def test_it_comes_back_after_an_error_too():
    with (
        pytest.raises(RuntimeError, match="inside"),
        batch_layout(BatchLayout(first_row=4)),
    ):
        raise RuntimeError("inside")
    assert current_layout() == BatchLayout()


def test_another_thread_sees_its_own():
    seen = []
    with batch_layout(BatchLayout(first_row=4)):
        thread = threading.Thread(target=lambda: seen.append(current_layout()))
        thread.start()
        thread.join()
    assert seen == [BatchLayout()]


def test_a_layout_is_given_by_name_and_cannot_be_changed():
    with pytest.raises(TypeError):
        BatchLayout(4)
    with pytest.raises(dataclasses.FrozenInstanceError):
        current_layout().first_row = 4


def test_the_first_row_may_be_traced():
    """One program serves all devices and all pieces of a batch."""
    traces = []

    @jax.jit
    def positions(first_row):
        traces.append(first_row)
        with batch_layout(BatchLayout(first_row=first_row)):
            return current_layout().first_row + jnp.arange(3)

    np.testing.assert_array_equal(positions(0), [0, 1, 2])
    np.testing.assert_array_equal(positions(6), [6, 7, 8])
    assert len(traces) == 1
    assert current_layout() == BatchLayout()


def test_it_holds_for_what_transformations_trace_inside():
    def row(x):
        return x * current_layout().first_row

    with batch_layout(BatchLayout(first_row=3)):
        jaxpr = jax.make_jaxpr(jax.grad(jax.checkpoint(row)))(2.0)
        mapped = jax.lax.map(row, jnp.arange(2.0))
    assert "3.0" in str(jaxpr)
    np.testing.assert_array_equal(mapped, [0.0, 3.0])
