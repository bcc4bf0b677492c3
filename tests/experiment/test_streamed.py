"""Streaming changes no number: not a batch, not a fact, not where a run goes on."""

import dataclasses

import jax
import numpy as np
import pytest

from cnn_jax import UserError
from cnn_jax.data import streaming_sources
from cnn_jax.experiment import program as program_module
from cnn_jax.experiment.declaration import Where
from cnn_jax.experiment.feed import Reading
from cnn_jax.experiment.program import Workbench
from cnn_jax.experiment.resident import PlacedData
from cnn_jax.experiment.run import run
from cnn_jax.training.interruption import Interrupted
from cnn_jax.training.progress import Silent
from tests.data.photo_trees import make_photos
from tests.experiment.interruptible import assert_same_end, lines, result_of
from tests.experiment.streamable import PHOTOS

COUNTS = {"train": 15, "test": 5}  # of each class


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("photos"), counts=COUNTS)


@pytest.fixture(scope="module")
def where(tree):
    return Where(progress="none", data_dir=tree, stream="always")


@pytest.fixture(scope="module")
def bench(where):
    return Workbench(where)


@pytest.fixture(scope="module")
def placed(where):
    """The same data, all of it on the device."""
    data = Workbench(dataclasses.replace(where, stream="never")).data(PHOTOS)
    assert isinstance(data, PlacedData)
    return data


@pytest.fixture(scope="module")
def streamed(tmp_path_factory, bench):
    directory = tmp_path_factory.mktemp("streamed")
    run(PHOTOS, directory, workbench=bench)
    return directory


def reading(bench, place, step=0):
    program = bench.program(PHOTOS)
    return Reading(
        experiment=PHOTOS,
        plan=program.plan,
        pieces=program.pieces,
        per_dispatch=1,
        first_step=step,
        facts_file=place / "facts.npz",
        told=lambda *what: None,
    )


def limited(bench, **limits):
    """A bench of another command, with a program that has been compiled already."""
    fresh = Workbench(dataclasses.replace(bench.where, **limits))
    fresh._program, fresh._devices = bench._program, bench._devices
    return fresh


def same(mine, theirs):
    mine, theirs = np.asarray(mine), np.asarray(theirs)
    return mine.dtype == theirs.dtype and mine.tobytes() == theirs.tobytes()


def test_every_step_takes_the_examples_of_its_positions(tmp_path, bench, placed):
    program, positions = bench.program(PHOTOS), placed.open(reading(bench, tmp_path))
    with bench.data(PHOTOS).open(reading(bench, tmp_path)) as feed, positions as resident:
        for step in range(program.plan.epoch_ends[0]):
            taken, where = feed.take(step, 1), resident.take(step, 1)
            assert taken.images.shape == (1, 8, 16, 16, 3)
            assert same(taken.images, placed.train.images[where])
            assert same(taken.labels, placed.train.labels[where])


def test_what_is_measured_is_the_same(tmp_path, bench, placed):
    with bench.data(PHOTOS).open(reading(bench, tmp_path)) as feed:
        mine, theirs = feed.data.facts, placed.train.facts
    assert mine.preprocessing.mean.shape == (12, 12, 3)
    leaves = [jax.tree.leaves(facts) for facts in (mine, theirs)]
    assert len(leaves[0]) == 4  # mean, deviation, principal colours and their variances
    assert all(map(same, *leaves))


def test_what_was_waited_for_data_is_told(streamed, placed):
    result = result_of(streamed)
    assert 0 <= result["waiting_fraction"] <= 1
    assert all(0 <= row["waiting_fraction"] <= 1 for row in lines(streamed))
    (attempt,) = result["attempts"]
    assert attempt["stream"] is True
    assert attempt["workers"] == 0
    assert "libjpeg-turbo" in attempt["decoder"]
    assert placed.told["stream"] is False


# 26 training examples, 8 a step: 7 steps, the fourth of which straddles the epochs.
@pytest.mark.parametrize("step", [1, 4, 6])
def test_stopped_in_an_epoch_it_goes_on_bitwise_and_measures_nothing_again(
    tmp_path, bench, streamed, monkeypatch, step
):
    with pytest.raises(Interrupted) as stopped:
        run(PHOTOS, tmp_path, workbench=limited(bench, stop_after=step))
    assert stopped.value.step == step
    monkeypatch.setattr(streaming_sources, "measure_in_one_pass", None)
    run(PHOTOS, tmp_path, workbench=limited(bench))
    assert result_of(tmp_path)["resumed_at_step"] == step
    assert_same_end(tmp_path, streamed, PHOTOS)


def test_every_example_is_evaluated_once_and_in_its_own_place(tmp_path, bench, placed):
    """Of all that a run asks for after its last step."""
    total = bench.program(PHOTOS).plan.total_steps
    with bench.data(PHOTOS).open(reading(bench, tmp_path, total)) as feed:
        for split in ("train", "validation", "test"):
            ours, expected = list(feed.batches(split)), getattr(placed, f"{split}_batches")
            assert sum(int(batch.mask.sum()) for batch in ours) == placed.sizes[split]
            for batch, other in zip(ours, expected, strict=True):
                assert all(map(same, batch, other))


def test_another_batch_than_the_next_one_is_a_bug_and_told(tmp_path, bench):
    said = r"\(3, 1\) was asked for, \(2, 1\) is next"
    with (
        bench.data(PHOTOS).open(reading(bench, tmp_path, 2)) as feed,
        pytest.raises(RuntimeError, match=said),
    ):
        feed.take(3, 1)


def test_a_record_that_does_not_decode_ends_the_run_with_its_key(tmp_path, bench):
    broken = make_photos(tmp_path / "tree", counts=COUNTS)
    file = broken / "train" / "dog" / "003.jpg"
    file.write_bytes(file.read_bytes()[:200])
    said = r"train/dog/003\.jpg can't be decoded"
    with pytest.raises(UserError, match=said) as refused:
        run(PHOTOS, tmp_path / "run", workbench=limited(bench, data_dir=broken))
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run" / "result.json").exists()


def test_a_dataset_that_was_changed_since_is_refused(tmp_path, bench):
    changed = make_photos(tmp_path / "tree", counts=COUNTS)
    out = tmp_path / "run"
    with pytest.raises(Interrupted):
        run(PHOTOS, out, workbench=limited(bench, stop_after=1))
    file = changed / "test" / "cat" / "000.jpg"
    file.write_bytes((changed / "test" / "cat" / "001.jpg").read_bytes())
    with pytest.raises(UserError, match=r"dataset\.fingerprint: .* nothing was changed"):
        run(PHOTOS, out, workbench=limited(bench, data_dir=changed))


def test_a_limit_stops_the_measuring_too(tmp_path, bench):
    with pytest.raises(Interrupted, match="stopped at step 0"):
        run(PHOTOS, tmp_path, workbench=limited(bench, time_limit=1e-9))


def test_how_far_the_measuring_is_is_told(tmp_path, bench):
    said, listener = [], Silent()
    listener.note = said.append
    fresh = limited(bench, stop_after=1)
    with pytest.raises(Interrupted):
        run(PHOTOS, tmp_path, workbench=fresh, progress=listener, title="photos")
    size = fresh.data(PHOTOS).sizes["train"]
    assert f"photos: measuring the training images: {size} of {size}" in said


def test_what_is_too_large_is_streamed_by_itself(where, monkeypatch):
    automatic = dataclasses.replace(where, stream="auto")
    assert isinstance(Workbench(automatic).data(PHOTOS), PlacedData)
    monkeypatch.setattr(program_module, "fits", lambda dataset, shape: False)
    assert not isinstance(Workbench(automatic).data(PHOTOS), PlacedData)
    never = dataclasses.replace(where, stream="never")
    assert isinstance(Workbench(never).data(PHOTOS), PlacedData)


def test_flags_that_make_no_sense_are_refused(tmp_path):
    with pytest.raises(UserError, match="workers is -1; at least 0 is needed"):
        Where(workers=-1)
    with pytest.raises(UserError, match="leave one of the two out"):
        Where(cache=tmp_path, stream="never")
