"""Streams with worker processes and on several devices; what is killed leaves nothing."""

import contextlib
import dataclasses
import os
import signal
import time
from pathlib import Path

import pytest

from cnn_jax.data.prepare import prepare
from cnn_jax.experiment.declaration import Where
from cnn_jax.experiment.program import Workbench
from cnn_jax.experiment.run import run
from cnn_jax.training.interruption import Interrupted
from tests.data.photo_trees import make_photos
from tests.experiment.commands import PATIENCE, executed, finish, start, start_two
from tests.experiment.commands import wait_for_steps as wait_for
from tests.experiment.interruptible import assert_near_end, assert_same_end, result_of
from tests.experiment.streamable import EXPERIMENTS, PHOTOS, RESIDUAL

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A few hundred."""
    root = tmp_path_factory.mktemp("photos")
    return make_photos(root, counts={"train": 110, "test": 30}, size=(24, 120))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("small")
    return make_photos(root, counts={"train": 15, "test": 5})


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("compiled")


def where(tree, **fields):
    return Where(**{"progress": "none", "data_dir": tree, "stream": "always"} | fields)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, photos):
    """The directory of the run whose images all lay on the device."""
    directory = tmp_path_factory.mktemp("whole")
    run(RESIDUAL, directory, where(photos, stream="never"))
    return directory


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, photos):
    """The same photographs as records, in the layout of TFDS."""
    return prepare("image-folder", photos, tmp_path_factory.mktemp("tfds"), called="photos")


@pytest.mark.parametrize("records", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_prepared_streamed_stopped_and_gone_on_it_ends_bitwise_like_a_resident_run(
    tmp_path, photos, prepared, whole, workers, records
):
    recipe, data = RESIDUAL, photos
    if records:
        recipe = dataclasses.replace(RESIDUAL, dataset=prepared.dataset)
        data = prepared.data_dir
    fields = {"workers": workers, "cache": tmp_path / "cache" if workers else None}
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "run", where(data, stop_after=17, **fields))
    # The other kind of worker goes on with it.
    run(recipe, tmp_path / "run", where(data, workers=2 - workers))
    result = result_of(tmp_path / "run")
    assert [a["workers"] for a in result["attempts"]] == [workers, 2 - workers]
    assert result["resumed_at_step"] == 17
    assert result["test_examples"] == 60
    assert_same_end(tmp_path / "run", whole, recipe)


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
@pytest.mark.parametrize("pieces", [1, 2])
def test_on_two_devices_a_stream_is_bitwise_what_lies_there(
    tmp_path, small, parallel, pieces
):
    recipe = dataclasses.replace(PHOTOS, accumulation=pieces)
    for stream in ("never", "always"):
        place = where(small, devices=2, parallel=parallel, stream=stream)
        run(recipe, tmp_path / stream, place)
    assert_same_end(tmp_path / "always", tmp_path / "never", recipe)


def test_several_steps_at_once_take_the_same(tmp_path, small, monkeypatch):
    """As on an accelerator."""
    monkeypatch.setattr("cnn_jax.experiment.program.steps_per_dispatch", lambda: 3)
    for stream in ("never", "always"):
        run(PHOTOS, tmp_path / stream, where(small, stream=stream))
    assert_same_end(tmp_path / "always", tmp_path / "never", PHOTOS)


def flags(tree, out, *more, workers=2):
    stream = ("--stream", "always", "--workers", workers, "--data-dir", tree)
    return ["train", "photos", "--progress", "none", "--out", out, *stream, *more]


def test_two_processes_decode_each_its_own_rows_and_end_like_one(tmp_path, small, cache):
    both = finish(*start_two(*flags(small, tmp_path / "two", workers=0), cache=cache))
    assert [ended.code for ended in both] == [0, 0], both
    one = start(
        *flags(small, tmp_path / "one", "--devices", 2, workers=0), devices=2, cache=cache
    )
    (ended,) = finish(one)
    assert ended.code == 0, ended
    assert_near_end(tmp_path / "two", tmp_path / "one", EXPERIMENTS["photos"], rtol=1e-5)


def descendants(pid):
    """All processes that a process has started, and those have."""
    parents = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            after_name = (entry / "stat").read_text().rpartition(")")[2].split()
            parents[int(entry.name)] = int(after_name[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def decoders(pid):
    """Those of them that decode images."""
    return {
        child
        for child in descendants(pid)
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    }


def gone(pid):
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "Z"  # nobody has fetched its exit code
    return True


def wait_until_gone(pids):
    deadline = time.monotonic() + PATIENCE
    while not all(map(gone, pids)):
        assert time.monotonic() < deadline, "left behind"
        time.sleep(0.05)


@pytest.fixture
def begun(tmp_path, small, cache):
    """A run that trains, with two workers."""
    arguments = flags(small, tmp_path / "run")
    arguments[1] = "photos_longer"
    process = start(*arguments, cache=cache, step_seconds=0.05)
    wait_for(tmp_path / "run", 5, process)
    workers = decoders(process.pid)
    assert len(workers) == 2
    return process, workers, descendants(process.pid)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_to_all_processes_stops_them_saved(tmp_path, begun, number, code):
    process, workers, all_of_them = begun
    for pid in (*workers, process.pid):  # as a terminal and a scheduler do
        os.kill(pid, number)
    (ended,) = finish(process)
    assert ended.code == code, ended
    assert f"stopped at step {executed(tmp_path / 'run')}" in ended.err
    assert len(ended.err.splitlines()) == 1, ended.err
    wait_until_gone(all_of_them)


def test_a_killed_worker_ends_the_run_with_one_line(tmp_path, begun):
    process, workers, all_of_them = begun
    os.kill(min(workers), signal.SIGKILL)
    (ended,) = finish(process)
    assert ended.code == 2, ended
    said = [line for line in ended.err.splitlines() if line.startswith("cnn-jax: ")]
    assert len(said) == 1
    assert "a worker process that decodes images has died (exit code -9)" in said[0]
    assert "Traceback" not in ended.err
    wait_until_gone(all_of_them)


def test_of_a_killed_run_no_worker_is_left(tmp_path, begun):
    process, _, all_of_them = begun
    process.kill()
    finish(process)
    wait_until_gone(all_of_them)


def test_a_broken_record_comes_out_of_a_worker_with_its_key(tmp_path, small, cache):
    broken = make_photos(tmp_path / "tree", counts={"train": 15, "test": 5})
    file = broken / "train" / "dog" / "003.jpg"
    file.write_bytes(file.read_bytes()[:200])
    (ended,) = finish(start(*flags(broken, tmp_path / "run"), cache=cache))
    assert ended.code == 2, ended
    (line,) = ended.err.splitlines()
    assert "train/dog/003.jpg can't be decoded" in line


def test_memory_stays_flat_over_epochs(tmp_path, small):
    def resident_bytes():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf(
            "SC_PAGE_SIZE"
        )

    bench, sizes = Workbench(where(small)), []
    longer = dataclasses.replace(PHOTOS, epochs=30)
    evaluate = bench.program(longer).evaluate

    def noting(*arguments):
        sizes.append(resident_bytes())
        return evaluate(*arguments)

    bench._program = (
        bench._program[0],
        dataclasses.replace(bench._program[1], evaluate=noting),
    )
    run(longer, tmp_path, workbench=bench)
    assert len(sizes) >= 30
    assert max(sizes[-5:]) - max(sizes[5:10]) < 8 * 2**20
