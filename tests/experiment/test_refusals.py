"""What does not fit is refused at once, in one line, and leaves nothing behind."""

import pytest

from cnn_jax import UserError
from cnn_jax.experiment.program import trace_experiment
from cnn_jax.experiment.run import run
from cnn_jax.training.run_directory import locked
from tests.tiny import EXPERIMENT, QUIET, variant


def test_two_runs_in_one_directory_are_refused(tmp_path):
    with (
        locked(tmp_path),
        pytest.raises(UserError, match="in use by another run"),
    ):
        run(EXPERIMENT, tmp_path, QUIET)


def test_a_recipe_that_does_not_fit_leaves_no_directory(tmp_path):
    with pytest.raises(UserError, match="batch"):
        run(variant(batch_size=513), tmp_path / "out", QUIET)
    assert not (tmp_path / "out").exists()


def test_labels_outside_the_networks_classes_are_refused(tmp_path):
    with pytest.raises(UserError, match="label"):
        run(variant(model=EXPERIMENT.model.clone(num_classes=5)), tmp_path, QUIET)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"batch_size": 0}, "batch size is 0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"seed": -1}, "seed -1"),
        ({"train_examples": 0}, "train_examples is 0"),
    ],
)
def test_a_number_out_of_range_is_refused_when_declared(fields, reason):
    with pytest.raises(UserError, match=reason):
        variant(**fields)


def test_tracing_needs_no_data_and_gives_the_state(tmp_path):
    state = trace_experiment(EXPERIMENT)
    assert state.params["conv1"]["kernel"].shape == (3, 3, 1, 4)
