import pytest

import cnn_jax
from cnn_jax.layers.activations import scaled_tanh
from cnn_jax.layers.rows import Classifier, Conv, Dense, MaxPool
from cnn_jax.models.mcdnn import column
from tests.reference_rows import check_rows

# Ciresan et al. 2012, the strings of Section 3, by arithmetic: name, shape, parameters,
# multiply-adds.
COLUMNS = {
    "mcdnn_mnist": [
        ("conv1", (26, 26, 20), 340, 216_320),
        ("pool1", (13, 13, 20), 0, 0),
        ("conv2", (9, 9, 40), 20_040, 1_620_000),
        ("pool2", (3, 3, 40), 0, 0),
        ("fc1", (150,), 54_150, 54_000),
        ("out", (10,), 1_510, 1_500),
    ],
    "mcdnn_gtsrb": [
        ("conv1", (42, 42, 100), 14_800, 25_930_800),
        ("pool1", (21, 21, 100), 0, 0),
        ("conv2", (18, 18, 150), 240_150, 77_760_000),
        ("pool2", (9, 9, 150), 0, 0),
        ("conv3", (6, 6, 250), 600_250, 21_600_000),
        ("pool3", (3, 3, 250), 0, 0),
        ("fc1", (300,), 675_300, 675_000),
        ("out", (43,), 12_943, 12_900),
    ],
    "mcdnn_cifar10": [
        ("conv1", (30, 30, 300), 8_400, 7_290_000),
        ("pool1", (15, 15, 300), 0, 0),
        ("conv2", (14, 14, 300), 360_300, 70_560_000),
        ("pool2", (7, 7, 300), 0, 0),
        ("conv3", (5, 5, 300), 810_300, 20_250_000),
        ("pool3", (3, 3, 300), 0, 0),
        ("conv4", (2, 2, 300), 360_300, 1_440_000),
        ("pool4", (1, 1, 300), 0, 0),
        ("fc1", (300,), 90_300, 90_000),
        ("fc2", (100,), 30_100, 30_000),
        ("out", (10,), 1_010, 1_000),
    ],
}


@pytest.mark.parametrize("name", COLUMNS)
def test_every_layer_is_that_of_the_papers_string(name):
    model = cnn_jax.create_model(name)
    assert check_rows(model, COLUMNS[name]) == 3 * len(COLUMNS[name])
    assert model.activation is scaled_tanh


def test_a_string_of_the_paper_is_a_table():
    assert column("20C4-MP2-7C1-30N-9N-10N", ceil=True) == (
        Conv("conv1", 20, 4),
        MaxPool("pool1", 2, 2, ceil=True),
        Conv("conv2", 7, 1),
        Dense("fc1", 30),
        Dense("fc2", 9),
        Classifier("out"),
    )


@pytest.mark.parametrize("layers", ["20C4-MP2-150N-10", "20C4-AP2-10N", "20C-10N", ""])
def test_a_string_that_is_no_column_is_refused(layers):
    with pytest.raises(ValueError, match=r"10N|20C4, MP2 or 150N"):
        column(layers)
