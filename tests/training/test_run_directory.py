import json
import os
import subprocess
import sys

import pytest

from cnn_jax import UserError
from cnn_jax.training.run_directory import (
    StepCounter,
    locked,
    make_directory,
    read_json,
    write_atomically,
    write_json,
)


def test_an_atomic_write_leaves_the_old_content_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    write_json(path, {"a": 1})
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        write_atomically(path, "half")
    assert read_json(path) == {"a": 1}
    assert os.listdir(tmp_path) == ["result.json"]


def test_a_number_that_is_not_json_is_never_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"a": float("nan")})


def test_a_broken_json_file_is_named(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(UserError, match=r"manifest\.json is not readable JSON"):
        read_json(tmp_path / "manifest.json")


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write to .*file"):
        make_directory(tmp_path / "file" / "run")
    with pytest.raises(UserError, match="cannot write to /proc/nothing"):
        make_directory(__import__("pathlib").Path("/proc/nothing"))


def test_the_lock_goes_with_the_process_that_held_it(tmp_path):
    program = (
        "import sys, pathlib, os, signal\n"
        "from cnn_jax.training.run_directory import locked\n"
        "with locked(pathlib.Path(sys.argv[1])):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": root},
    )
    assert done.returncode == -9
    with locked(tmp_path), pytest.raises(UserError, match="in use"), locked(tmp_path):
        pass


def test_steps_are_counted_over_all_attempts(tmp_path):
    for expected in (3, 6):
        counter = StepCounter(tmp_path / "steps_executed")
        counter.add(1)
        counter.add(2)
        counter.close()
        assert counter.executed == expected
    assert int((tmp_path / "steps_executed").read_text()) == json.loads("6")
