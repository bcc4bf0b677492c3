"""VGG's 15,237,608 numbers are an exercise: ``tests/test_exercises.py``."""

from cnn_jax import create_model
from cnn_jax.analysis.activation_memory import activation_megabytes, activation_values


def test_a_small_network_by_hand():
    # 32 x 32 x 3, then conv1, pool1, conv2, pool2, fc1, fc2, output.
    by_hand = 3072 + 28 * 28 * 8 + 14 * 14 * 8 + 10 * 10 * 16 + 5 * 5 * 16 + 120 + 84 + 10
    model = create_model("exercise_cnn")
    assert activation_values(model) == by_hand
    assert activation_megabytes(model) == 4 * by_hand / 1e6
