"""The Neocognitron against loops over cells; its rule; what it learns from real digits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnn_jax
from cnn_jax.analysis.compute import layer_macs
from cnn_jax.analysis.neocognitron_measure import (
    nearest_neighbour_error,
    neocognitron_measure,
)
from cnn_jax.data.digits import open_digits
from cnn_jax.layers.c_cells import CCells
from cnn_jax.layers.s_cell_learning import representatives
from cnn_jax.layers.s_cells import SCells, Synapses, inhibiting_cells, s_cells
from cnn_jax.layers.tracing import count_parameters, trace_output, trace_variables
from cnn_jax.models.neocognitron import Neocognitron

SMALL = Neocognitron(
    num_classes=5,
    input_shape=(8, 8, 1),
    table=(
        SCells("u_s1", 3, 3, 1, r=4.0, q=1.0),  # 8 x 8
        CCells("u_c1", 3, -1),  # 4 x 4
        SCells("u_s2", None, 3, 0, r=1.5, q=16.0),  # 2 x 2
        CCells("u_c2", 2, whole=True),
    ),
)


def window(x, i, j, size, padding):
    """What one cell sees of maps [H, W, planes], by indexing; nothing outside."""
    seen = np.zeros((size, size, x.shape[-1]))
    for m in range(size):
        for n in range(size):
            row, column = i + m - padding, j + n - padding
            if 0 <= row < x.shape[0] and 0 <= column < x.shape[1]:
                seen[m, n] = x[row, column]
    return seen


def falling(size, decay):
    middle = (size - 1) / 2
    at = [[np.hypot(m - middle, n - middle) for n in range(size)] for m in range(size)]
    return decay ** np.array(at)


def s_by_loops(row, a, b, x):
    """Equations 1 to 3, cell by cell; also v_C."""
    size, planes = row.size, a.shape[-1]
    c = falling(size, row.decay)
    c = c / (c.sum() * x.shape[-1])
    edge = x.shape[0] + 2 * row.padding - size + 1
    u, v = np.zeros((edge, edge, planes)), np.zeros((edge, edge))
    for i in range(edge):
        for j in range(edge):
            seen = window(x, i, j, size, row.padding)
            v[i, j] = np.sqrt((c[:, :, None] * seen**2).sum())
            for k in range(planes):
                excitation = 1 + (a[..., k] * seen).sum()
                inhibition = 1 + 2 * row.r / (1 + row.r) * b[k] * v[i, j]
                u[i, j, k] = row.r * max(0.0, excitation / inhibition - 1)
    return u, v


def c_by_loops(row, u):
    """Equations 4 to 6, cell by cell."""
    d = falling(row.size, row.decay)
    edge = u.shape[0] + 2 * row.padding - row.size + 1
    out = np.zeros((edge, edge, u.shape[-1]))
    for i in range(edge):
        for j in range(edge):
            sums = (d[:, :, None] * window(u, i, j, row.size, row.padding)).sum((0, 1))
            inhibition = sums.mean()
            for k, excitation in enumerate(sums):
                x = (1 + excitation) / (1 + inhibition) - 1
                out[i, j, k] = x / (row.alpha + x) if x > 0 else 0.0
    return out


def presented_by_loops(model, params, image, learn):
    """One presentation: the last C-cells, and the parameters after it."""
    x, after = image, {}
    for row in model.table:
        if isinstance(row, CCells):
            x = c_by_loops(row, x)
            continue
        a, b = params[row.name]["excitatory"], params[row.name]["inhibitory"]
        u, v = s_by_loops(row, a, b, x)
        new_a, new_b = a.copy(), b.copy()
        candidates = {}
        for i in range(u.shape[0]):
            for j in range(u.shape[1]):
                k = int(u[i, j].argmax())
                if u[i, j, k] > 0 and u[i, j, k] > candidates.get(k, (0.0,))[0]:
                    candidates[k] = (u[i, j, k], i, j)
        c = falling(row.size, row.decay)
        c = c / (c.sum() * x.shape[-1])
        for k, (_, i, j) in candidates.items():
            seen = window(x, i, j, row.size, row.padding)
            new_a[..., k] += row.q * c[:, :, None] * seen
            new_b[k] += row.q / 2 * v[i, j]
        after[row.name] = {"excitatory": new_a, "inhibitory": new_b}
        x = u
    return x[0, 0], after if learn else params


def started(model, seed=0):
    shape = (1, *model.input_shape)
    init = jax.jit(lambda key: model.init(key, jnp.zeros(shape), train=False))
    return init(jax.random.key(seed))


def test_cells_and_learning_are_the_papers_equations_cell_by_cell(draw):
    patterns = (draw.uniform(size=(3, 8, 8, 1)) > 0.6).astype(np.float32)
    variables = started(SMALL)
    learned = jax.jit(SMALL.learn, static_argnames="presentations")(
        variables, patterns, presentations=2
    )
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
    for image in [*patterns, *patterns]:
        _, params = presented_by_loops(SMALL, params, image, learn=True)
    # float32 sums of up to 27 terms, six times over
    jax.tree.map(
        lambda ours, loops: np.testing.assert_allclose(ours, loops, rtol=1e-4, atol=1e-6),
        learned["params"],
        params,
    )
    outputs = jax.jit(lambda v, x: SMALL.apply(v, x, train=False))(learned, patterns)
    expected = [presented_by_loops(SMALL, params, x, learn=False)[0] for x in patterns]
    np.testing.assert_allclose(outputs, expected, rtol=1e-3, atol=1e-5)
    assert np.max(expected) > 0.1  # something responds


def test_the_winner_rule_by_hand():
    u = np.zeros((2, 3, 4), np.float32)
    u[0, 0] = [3, 1, 0, 0]  # plane 0 wins here
    u[0, 1] = [5, 4, 0, 0]  # and here, more strongly
    u[1, 2] = [0, 2, 1, 0]  # plane 1 wins: its 4 above was no candidate
    winners = representatives(jnp.asarray(u))  # plane 2 never wins, plane 3 is silent
    np.testing.assert_array_equal(winners.chosen, [True, True, False, False])
    np.testing.assert_array_equal(winners.rows[:2], [0, 1])
    np.testing.assert_array_equal(winners.columns[:2], [1, 2])


def test_a_learned_cell_knows_its_pattern_and_what_is_near_it():
    row = SCells("s", 1, 2, 0, r=1.5, q=16.0, decay=1.0)

    def response(strength, seen):
        known = np.array([1.0, 0.0, 0.0, 0.0], np.float32)
        a = strength * known.reshape(2, 2, 1, 1) / 4  # c = 1/4
        synapses = Synapses(jnp.asarray(a), jnp.array([strength / 2 * 0.5]))  # v_C = 1/2
        x = jnp.asarray(seen, jnp.float32).reshape(1, 2, 2, 1)
        return float(s_cells(row, synapses, x, inhibiting_cells(row, x))[0, 0, 0, 0])

    # r (1 + g) / (1 + g r / (1 + r)) - r with g = strength v_C^2, towards 1
    assert response(4.0, [1, 0, 0, 0]) == pytest.approx(1.5 * (2 / 1.6 - 1), rel=1e-5)
    assert response(4e4, [1, 0, 0, 0]) == pytest.approx(1.0, rel=1e-3)
    # The threshold is a cosine of r / (1 + r) = 0.6.
    at = {cosine: [cosine, np.sqrt(1 - cosine**2), 0, 0] for cosine in (0.59, 0.61)}
    assert response(4e4, at[0.59]) == 0.0
    assert response(4e4, at[0.61]) > 0.0


def test_sizes_parameters_and_connections_are_the_papers():
    model = cnn_jax.create_model("neocognitron")
    params = trace_variables(model)["params"]
    printed = {  # Fukushima 1980: cells, modifiable synapses
        "u_s1": ((16, 16, 24), 624),
        "u_c1": ((10, 10, 24), 0),
        "u_s2": ((8, 8, 24), 14_424),
        "u_c2": ((6, 6, 24), 0),
        "u_s3": ((2, 2, 24), 14_424),
        "u_c3": ((24,), 0),  # one cell a plane
    }
    found = {}
    for i, row in enumerate(model.table):
        shape = trace_output(model.clone(table=model.table[: i + 1]))[1:]
        leaves = jax.tree.leaves(params.get(row.name, {}))
        found[row.name] = (shape, sum(int(np.prod(leaf.shape)) for leaf in leaves))
    assert found == printed
    assert count_parameters(model) == 29_472
    assert layer_macs(model) == {
        # excitatory and inhibitory synapses, and the connections c of v_C
        "u_s1": 256 * (24 * 26 + 25),
        "u_c1": 100 * 24 * 25,
        "u_s2": 64 * (24 * 601 + 600),
        "u_c2": 36 * 24 * 25,
        "u_s3": 4 * (24 * 601 + 600),
        "u_c3": 24 * 4,
    }


def test_a_map_that_one_cell_cannot_cover_is_refused_by_name():
    with pytest.raises(cnn_jax.UserError, match="u_c3: a single cell a plane"):
        cnn_jax.without(cnn_jax.create_model("neocognitron"), "u_c2")


def test_the_nearest_neighbour_is_that_of_the_smallest_angle():
    known, labels = np.array([[1.0, 0.0], [0.0, 9.0]]), np.array([4, 7])
    asked = np.array([[0.2, 0.1], [1.0, 1.1], [0.0, 0.0]])
    assert nearest_neighbour_error(known, labels, asked, np.array([4, 7, 4])) == 0.0
    assert nearest_neighbour_error(known, labels, asked, np.array([4, 4, 7])) == 2 / 3


def test_what_it_learns_from_real_digits_without_labels_helps_to_tell_them_apart():
    digits, model = open_digits().read((16, 16, 1)), cnn_jax.create_model("neocognitron")
    train, test = (
        (split.images[split.labels < 5] / np.float32(255.0), split.labels[split.labels < 5])
        for split in (digits.train, digits.test)
    )
    train, test = (tuple(part[:150] for part in split) for split in (train, test))
    before = started(model)
    after = jax.jit(model.learn, static_argnames="presentations")(
        before, train[0][:100], presentations=2
    )
    found = [
        neocognitron_measure(model, variables, train[0][:5], train, test, ("u_c3",))
        for variables in (before, after)
    ]
    errors = [one.errors["u_c3"] for one in found]
    assert errors[0] > 0.25  # four of five are wrong by chance
    assert errors[1] < 0.8 * errors[0]
    # Cells become selective: fewer respond to a digit.
    assert found[1].responding.mean() < 0.7 * found[0].responding.mean()
