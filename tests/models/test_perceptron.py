"""The perceptron's rule: against a loop, its bound on mistakes, XOR, real digits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data.digits import open_digits
from cnn_jax.layers.rows import Classifier, Dense
from cnn_jax.layers.tracing import trace_variables
from cnn_jax.models.perceptron import Perceptron, step

PLANE = Perceptron(num_classes=2, input_shape=(1, 1, 2))
CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
XOR = np.array([0, 1, 1, 0])


def zeros(model):
    return jax.tree.map(
        lambda leaf: np.zeros(leaf.shape, np.float32), trace_variables(model)
    )


def as_images(points):
    return np.asarray(points, np.float32)[:, None, None, :]


def guesses(model, variables, points):
    scores = model.apply(variables, as_images(points), train=False)
    return np.asarray(scores.argmax(-1))


def test_the_rule_is_that_of_a_plain_loop(draw):
    # Whole numbers below 2^24: float32 adds them exactly.
    x, labels = draw.integers(-3, 4, (40, 6)).astype(np.float32), draw.integers(0, 3, 40)
    w, b, counted = np.zeros((6, 3)), np.zeros(3), []
    for _ in range(4):
        mistakes = 0
        for point, label in zip(x, labels, strict=True):
            guess = int((point @ w + b).argmax())
            if guess != label:
                mistakes += 1
                w[:, label] += point
                w[:, guess] -= point
                b[label] += 1
                b[guess] -= 1
        counted.append(mistakes)
    model = Perceptron(num_classes=3, input_shape=(1, 2, 3))
    images = x.reshape(40, 1, 2, 3)
    learned, mistakes = model.learn_and_count(zeros(model), images, labels, passes=4)
    np.testing.assert_array_equal(mistakes, counted)
    assert counted[0] > 10
    np.testing.assert_array_equal(learned["params"]["output"]["kernel"], w)
    np.testing.assert_array_equal(learned["params"]["output"]["bias"], b)


def test_mistakes_on_separable_examples_stay_below_novikoffs_bound(draw):
    # w x + b with |w|^2 + b^2 = 1, and examples at least 0.1 from 0 on either side.
    margin, w, b = 0.1, np.array([0.6, -0.64]), np.sqrt(1 - 0.36 - 0.4096)
    points = draw.uniform(-2, 2, (600, 2))
    away = points @ w + b
    points, away = points[np.abs(away) > margin], away[np.abs(away) > margin]
    labels = (away > 0).astype(int)
    radius = np.sqrt(1 + np.square(points).sum(-1)).max()  # of (x, 1)
    bound = (radius / np.abs(away).min()) ** 2
    learned, mistakes = PLANE.learn_and_count(
        zeros(PLANE), as_images(points), labels, passes=60
    )
    mistakes = np.asarray(mistakes)
    assert 1 < mistakes.sum() <= bound
    done = mistakes.argmin()
    assert (mistakes[done:] == 0).all()  # it stays where it found no mistake
    np.testing.assert_array_equal(guesses(PLANE, learned, points), labels)


def test_a_large_margin_needs_few_mistakes():
    # Two points a long way apart: by hand, one correction, (R / gamma)^2 = 26 / 25 = 1.04.
    points, labels = np.array([[5.0, 0.0], [-5.0, 0.0]]), np.array([1, 0])
    learned, mistakes = PLANE.learn_and_count(
        zeros(PLANE), as_images(points), labels, passes=3
    )
    assert list(mistakes) == [1, 0, 0]
    np.testing.assert_array_equal(learned["params"]["output"]["kernel"], [[-5, 5], [0, 0]])
    np.testing.assert_array_equal(learned["params"]["output"]["bias"], [-1, 1])


def test_no_unit_computes_xor():
    # Four conditions sign_i (w x_i + b) > 0 with signs of XOR add up to 0 > 0.
    signs = 2.0 * XOR - 1.0
    augmented = np.column_stack([CORNERS, np.ones(4)])
    np.testing.assert_array_equal(signs @ augmented, [0, 0, 0])

    # And by exhaustion: of the 16 functions of two bits a unit computes all but two.
    grid = np.arange(-2, 2.25, 0.5)
    w1, w2, b = (axis.reshape(-1) for axis in np.meshgrid(grid, grid, grid + 0.25))

    def unit(w, b):
        params = {"kernel": jnp.stack([0 * w, w], -1), "bias": jnp.stack([0 * b, b])}
        variables = {"params": {"output": params}}
        return PLANE.apply(variables, as_images(CORNERS), train=False).argmax(-1)

    tables = np.asarray(jax.vmap(unit)(jnp.stack([w1, w2], -1), jnp.asarray(b)))
    computed = {tuple(table) for table in tables.tolist()}
    assert len(computed) == 14
    assert tuple(XOR) not in computed
    assert tuple(1 - XOR) not in computed
    assert (tables == XOR).mean(-1).max() == 0.75  # three of four


def test_on_xor_the_rule_never_rests_and_comes_back_to_where_it_was():
    learn = jax.jit(PLANE.learn_and_count, static_argnames="passes")
    init = jax.jit(lambda key: PLANE.init(key, as_images(CORNERS), train=False))
    variables, seen = init(jax.random.key(0)), []
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(variables))
    for _ in range(12):
        variables, mistakes = learn(variables, as_images(CORNERS), XOR, passes=1)
        assert int(mistakes[0]) > 0
        seen.append(np.concatenate([np.ravel(v) for v in jax.tree.leaves(variables)]))
    # Minsky and Papert's cycling theorem: weights stay bounded, so they repeat.
    assert any((seen[-1] == earlier).all() for earlier in seen[:-1])


def test_learning_from_real_digits():
    digits = open_digits().read((8, 8, 1))
    model = Perceptron(input_shape=(8, 8, 1))
    learn = jax.jit(model.learn, static_argnames="passes")
    train = digits.train.images / np.float32(255.0)
    learned = learn(zeros(model), train, digits.train.labels, passes=4)
    scores = model.apply(learned, digits.test.images / np.float32(255.0), train=False)
    error = (np.asarray(scores.argmax(-1)) != digits.test.labels).mean()
    assert error < 0.15  # 9 % here; nine of ten are wrong by chance


def test_hidden_layers_are_refused():
    deep = Perceptron(table=(Dense("hidden", 3), Classifier("output")))
    with pytest.raises(ValueError, match="the table has hidden, output"):
        deep.learn({}, jnp.zeros((1, 28, 28, 1)), jnp.zeros(1, int))


def test_the_step_is_open_at_zero():
    np.testing.assert_array_equal(step(np.array([-1.0, 0.0, 1e-9])), [0, 0, 1])
