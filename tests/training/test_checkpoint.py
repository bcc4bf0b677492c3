import json
import math
import shutil
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.errors import UserError
from cnn_jax.training import checkpoint as checkpoint_module
from cnn_jax.training import checkpoint_format
from cnn_jax.training.checkpoint import Checkpoints, open_checkpoints
from tests.checkpoint_states import LIKE, make, same


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory):
    """A directory with the checkpoints 10 and 20; to be copied, not to be changed."""
    directory = tmp_path_factory.mktemp("master") / "checkpoints"
    with open_checkpoints(directory) as checkpoints:
        checkpoints.save(10, make(10), validation_error=0.25)
        checkpoints.save(20, make(20), validation_error=0.5)
    return directory


@pytest.fixture
def without_orbax(monkeypatch):
    """Checkpoints without their arrays, for tests that write very many of them."""

    class Nothing:
        def save(self, path, args):
            path.mkdir()

    class Opened:
        __enter__ = staticmethod(Nothing)

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(checkpoint_format, "_orbax", Opened)


@pytest.fixture
def gate(monkeypatch):
    """An event that every write waits for."""
    opened, write = threading.Event(), checkpoint_module.write_checkpoint

    def waiting(*arguments):
        assert opened.wait(20)
        write(*arguments)

    monkeypatch.setattr(checkpoint_module, "write_checkpoint", waiting)
    yield opened
    opened.set()


def test_every_leaf_comes_back_bitwise_as_numpy(two_steps):
    with open_checkpoints(two_steps, read_only=True) as checkpoints:
        newest, problems = checkpoints.restore(LIKE)
        assert same(newest, make(20))
        assert problems == []
        assert same(checkpoints.restore(make(0), 10).state, make(10))
        assert same(checkpoints.restore(make(0), "best").state, make(10))
        assert checkpoints.best_step() == 10
        assert [checkpoints.validation_error(step) for step in (10, 20)] == [0.25, 0.5]
    # Another program can read it too.
    about = json.loads((two_steps / "20" / "about.json").read_text())
    assert about["step"] == 20
    assert about["validation_error"] == 0.5
    assert about["leaves"]["params.conv1.kernel"] == ["float32", [3, 3, 2, 4]]


def test_save_copies_and_does_not_wait_for_the_disk(tmp_path, gate):
    twice = jax.jit(lambda x: 2 * x, donate_argnums=0)
    ours, devices = np.ones(5), jnp.ones(1000)
    with open_checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"ours": ours, "devices": devices})
        ours[:] = 7
        devices = twice(devices)  # perhaps into the very memory that is to be written
        jax.block_until_ready(devices)
        assert checkpoints.steps() == []
        gate.set()
        checkpoints.wait()
        assert checkpoints.steps() == [1]
        stored = checkpoints.restore({"ours": ours, "devices": devices}).state
    np.testing.assert_array_equal(stored["ours"], np.ones(5))
    np.testing.assert_array_equal(stored["devices"], np.ones(1000))


def test_at_most_one_checkpoint_is_in_flight(tmp_path, gate):
    with open_checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, make(1))
        second = threading.Thread(target=checkpoints.save, args=(2, make(2)))
        second.start()
        second.join(0.1)
        assert second.is_alive()
        gate.set()
        second.join(20)
        assert 1 in checkpoints.steps()
    assert checkpoints.steps() == [1, 2]  # the end waits


@pytest.mark.parametrize(("last", "best"), [(2, 1), (1, 0), (3, 2), (1, 3)])
def test_the_last_and_the_best_are_kept(tmp_path, without_orbax, draw, last, best):
    errors = [None, 0.4, math.nan, *draw.integers(0, 4, 14) / 4]  # many are equal
    with open_checkpoints(tmp_path, last=last, best=best) as checkpoints:
        for step, error in enumerate(errors):
            checkpoints.save(step, {"x": np.ones(1)}, validation_error=error)
            checkpoints.wait()
            so_far = [
                (e, -s)
                for s, e in enumerate(errors[: step + 1])
                if e is not None and not math.isnan(e)
            ]
            ranked = [-negated for _, negated in sorted(so_far)]
            expected = {*range(max(0, step + 1 - last), step + 1), *ranked[:best]}
            assert checkpoints.steps() == sorted(expected)
            if best and ranked:
                assert checkpoints.best_step() == ranked[0]
    assert {path.name for path in tmp_path.iterdir()} == {str(s) for s in expected}


def test_a_step_that_is_there_is_not_written_again(tmp_path, without_orbax):
    with open_checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"x": np.ones(1)}, validation_error=0.5)
        checkpoints.wait()
        before = tmp_path.joinpath("1").stat().st_ino
        checkpoints.save(1, {"x": np.ones(1)})
    assert tmp_path.joinpath("1").stat().st_ino == before


@pytest.mark.parametrize("next_call", ["save", "wait", "close"])
def test_an_error_in_the_background_is_told_once_with_its_step(
    tmp_path, monkeypatch, next_call
):
    def fails(path, *_):
        path.mkdir()
        path.joinpath("half").write_bytes(b"?")
        raise OSError(28, "No space left on device")

    checkpoints = Checkpoints(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_module, "write_checkpoint", fails)
        checkpoints.save(5, make(5))
        calls = {
            "save": lambda: checkpoints.save(6, make(6)),
            "wait": checkpoints.wait,
            "close": checkpoints.close,
        }
        with pytest.raises(UserError, match=r"checkpoint of step 5 to .*No space left"):
            calls[next_call]()
    assert list(tmp_path.iterdir()) == []  # what was half written no longer fills the disk
    if next_call != "close":
        checkpoints.save(7, make(7))  # room was made
        checkpoints.wait()
        assert checkpoints.steps() == [7]
    checkpoints.close()


def test_no_room_and_no_directory(tmp_path, monkeypatch):
    directory = tmp_path / "checkpoints"
    with open_checkpoints(directory) as checkpoints:
        with monkeypatch.context() as patch:
            usage = shutil.disk_usage(tmp_path)._replace(free=1000)
            patch.setattr(shutil, "disk_usage", lambda _: usage)
            with pytest.raises(UserError, match="the disk has 1,000 left; make room"):
                checkpoints.save(1, make(1))
        directory.rmdir()
        with pytest.raises(UserError, match="checkpoints was removed"):
            checkpoints.save(1, make(1))
        with monkeypatch.context() as patch:  # removed a moment later
            patch.setattr(checkpoint_module, "check_room", lambda *_: None)
            checkpoints.save(2, make(2))
            with pytest.raises(UserError, match=r"checkpoint of step 2 to .*No such file"):
                checkpoints.wait()
    assert not directory.exists()  # nobody makes it again behind the user's back


def test_an_error_on_the_way_comes_before_one_in_the_background(tmp_path, monkeypatch):
    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_module, "write_checkpoint", fails)
    caught = None
    try:
        with open_checkpoints(tmp_path) as checkpoints:
            checkpoints.save(1, make(1))
            raise KeyError("first")
    except KeyError as error:
        caught = error
    assert "checkpoint of step 1" in caught.__notes__[0]
    with pytest.raises(UserError, match="step 1"), open_checkpoints(tmp_path) as c:
        c.save(1, make(1))


def test_asking_for_what_is_not_there(tmp_path, two_steps):
    with open_checkpoints(two_steps, read_only=True) as checkpoints:
        with pytest.raises(UserError, match=r"no checkpoint of step 15; it has: 10, 20"):
            checkpoints.restore(LIKE, 15)
        with pytest.raises(ValueError, match="read only"):
            checkpoints.save(30, make(30))
    directory = tmp_path / "checkpoints"
    shutil.copytree(two_steps, directory)
    (directory / "10" / "about.json").unlink()
    with open_checkpoints(directory, read_only=True) as checkpoints:
        with pytest.raises(
            UserError, match=r"step 10 is not readable \(about.json is miss"
        ):
            checkpoints.restore(LIKE, 10)
        with pytest.raises(UserError, match="step 10 is not readable"):
            checkpoints.validation_error(10)
        state, problems = checkpoints.restore(LIKE, "best")  # perhaps 10 was better
        assert same(state, make(20))
        assert "step 10 is not readable" in problems[0]
    with open_checkpoints(tmp_path / "empty") as checkpoints:
        assert checkpoints.restore(LIKE) == (None, [])
        assert checkpoints.best_step() is None
        with pytest.raises(UserError, match="no checkpoint has a validation error"):
            checkpoints.restore(LIKE, "best")
        with pytest.raises(UserError, match="it has: none"):
            checkpoints.restore(LIKE, 1)


def test_a_reader_makes_nothing_and_sweeps_nothing(tmp_path):
    with open_checkpoints(tmp_path / "nowhere", read_only=True) as checkpoints:
        assert checkpoints.steps() == []
        assert checkpoints.restore(LIKE) == (None, [])
    assert list(tmp_path.iterdir()) == []
    leftovers = [tmp_path / "7.writing" / "state", tmp_path / "3.deleting" / "state"]
    for path in (*leftovers, tmp_path / "notes"):
        path.mkdir(parents=True)
    with open_checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.steps() == []
    assert all(path.exists() for path in leftovers)
    with open_checkpoints(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_arrays_on_several_devices_are_read_for_any_number(tmp_path):
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    state = jax.device_put({"x": np.arange(6.0, dtype=np.float32)}, everywhere)
    assert len(state["x"].devices()) > 1
    with open_checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state)
        stored = checkpoints.restore(state).state
    assert type(stored["x"]) is np.ndarray
    np.testing.assert_array_equal(jnp.asarray(stored["x"]), np.arange(6.0))


def test_counts_out_of_range_and_paths_that_clash(tmp_path):
    for last, best in ((0, 1), (1, -1)):
        with pytest.raises(ValueError, match=f"last={last}, best={best}: last >= 1"):
            Checkpoints(tmp_path, last=last, best=best)
    clash = {"a.b": np.ones(1), "a": {"b": np.ones(1)}}
    with open_checkpoints(tmp_path) as c, pytest.raises(ValueError, match="same path"):
        c.save(1, clash)
