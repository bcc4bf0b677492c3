import cnn_jax
from cnn_jax.layers.rows import Dense, DropConnectDense
from cnn_jax.layers.tracing import count_parameters
from cnn_jax.models.dropconnect_mnist import TABLE, with_dropout
from tests.reference_rows import check_rows


def test_the_layers_of_table_2_have_the_papers_units():
    check_rows(
        cnn_jax.create_model("dropconnect_mnist_mlp"),
        [
            ("fc1", (800,), 628_000, 0),  # 785 * 800; counted in the scope "fc1/dense"
            ("fc2", (800,), 640_800, 0),
            ("out", (10,), 8_010, 8_000),
        ],
    )


def test_the_convolutional_network_ends_in_150_units():
    check_rows(
        cnn_jax.create_model("dropconnect_mnist"),
        [
            ("conv1", (24, 24, 32), 832, 460_800),
            ("pool1", (12, 12, 32), 0, 0),
            ("conv2", (8, 8, 64), 51_264, 3_276_800),
            ("pool2", (4, 4, 64), 0, 0),
            ("fc", (150,), 153_750, 0),
            ("out", (10,), 1_510, 1_500),
        ],
    )


def test_the_dropout_twin_differs_in_what_is_dropped_only():
    twin = with_dropout(TABLE, 0.25)
    changed = [(old, new) for old, new in zip(TABLE, twin, strict=True) if old != new]
    assert changed == [
        (
            DropConnectDense("fc", 150, keep=0.5, deviation=0.1),
            Dense("fc", 150, dropout=0.25, deviation=0.1),
        )
    ]
    model = cnn_jax.create_model("dropconnect_mnist")
    assert count_parameters(model.clone(table=twin)) == count_parameters(model)
