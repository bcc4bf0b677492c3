import errno
import shutil
import subprocess
import sys

import pytest

from cnn_jax.data import prepare_shards
from cnn_jax.data.datasets import open_dataset
from cnn_jax.data.prepare import prepare
from cnn_jax.errors import UserError
from tests.data.image_trees import image_bytes, make_tree


class Killed(BaseException):
    pass


def shards_of(directory):
    return {
        p.name: p.read_bytes() for p in directory.iterdir() if "array_record-" in p.name
    }


def test_after_a_kill_the_same_call_goes_on_and_gives_the_same_files(tmp_path, monkeypatch):
    tree = make_tree(tmp_path / "pets", counts={"train": 30, "test": 10})
    monkeypatch.setattr(prepare_shards, "BATCH", 3)
    whole = prepare("image-folder", tree, tmp_path / "whole", shard_bytes=1000).directory
    assert len(shards_of(whole)) > 6

    def kill(done, total, what):
        if done >= 41:
            raise Killed

    out = tmp_path / "out"
    with pytest.raises(Killed):
        prepare("image-folder", tree, out, progress=kill, shard_bytes=1000)
    assert [p.name for p in (out / "pets").iterdir()] == ["1.0.0.incomplete"]
    with pytest.raises(
        UserError, match=r"tfds:pets is not prepared in .*prepare it: cnn-jax"
    ):
        open_dataset("tfds:pets", out)
    before = {p.name: p.stat().st_mtime_ns for p in (out / "pets").rglob("*-of-*")}
    told = []
    done = prepare(
        "image-folder", tree, out, progress=lambda *x: told.append(x), shard_bytes=1000
    )
    finished = [name for name in before if not name.endswith(".part")]
    assert len(finished) >= 2
    for name in finished:
        assert (done.directory / name).stat().st_mtime_ns == before[name]
    assert shards_of(done.directory) == shards_of(whole)
    assert {p.name for p in done.directory.iterdir()} == {p.name for p in whole.iterdir()}
    assert (
        open_dataset("tfds:pets", out).fingerprint
        == open_dataset("image-folder", tree).fingerprint
    )
    with pytest.raises(UserError, match=r"pets/1\.0\.0 is already there; remove it to"):
        prepare("image-folder", tree, out)


def test_going_on_with_other_files_is_refused_unless_begun_anew(tmp_path):
    tree = make_tree(tmp_path / "pets")

    def kill(done, total, what):
        if done > 0:
            raise Killed

    out = tmp_path / "out"
    with pytest.raises(Killed):
        prepare("image-folder", tree, out, progress=kill)
    (tree / "train" / "cat" / "0.png").write_bytes(image_bytes(77))
    with pytest.raises(UserError, match=r"1\.0\.0\.incomplete was begun from other files"):
        prepare("image-folder", tree, out)
    done = prepare("image-folder", tree, out, resume=False)
    assert shards_of(done.directory)


def test_a_full_disk_is_one_line_and_can_be_gone_on_from(tmp_path):
    tree = make_tree(tmp_path / "pets", counts={"train": 30, "test": 3})
    incomplete = tmp_path / "out" / "pets" / "1.0.0.incomplete"
    incomplete.mkdir(parents=True)
    full = incomplete / "pets-test.array_record-00000-of-00001.part"
    full.symlink_to("/dev/full")  # the kernel's own full disk
    with pytest.raises(UserError) as caught:
        prepare("image-folder", tree, tmp_path / "out")
    message = str(caught.value)
    assert message.startswith(f"{full}: the disk is full; what is whole is kept in")
    assert "\n" not in message
    assert not (tmp_path / "out" / "pets" / "1.0.0").exists()
    prepare("image-folder", tree, tmp_path / "out")  # the link is gone


def test_too_little_space_is_told_before_anything_is_written(tmp_path, monkeypatch):
    tree = make_tree(tmp_path / "pets")
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(
        UserError, match=r"0\.0 GiB are needed, 0\.0 GiB are free; nothing was"
    ):
        prepare("image-folder", tree, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*array_record*"))


def test_other_failures_to_write_are_told(tmp_path, monkeypatch):
    tree = make_tree(tmp_path / "pets")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="Not a directory"):
        prepare("image-folder", tree, tmp_path / "file")

    def quota(*_):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(prepare_shards, "write_index", quota)
    with pytest.raises(UserError, match="the disk is full; what is whole is kept in"):
        prepare("image-folder", tree, tmp_path / "out")
    monkeypatch.undo()
    prepare("image-folder", tree, tmp_path / "out")


def test_two_at_once_do_not_write_into_one_directory(tmp_path):
    tree = make_tree(tmp_path / "pets")

    def second(done, total, what):
        if done == 0 and total is not None:
            return
        if total is not None:
            with pytest.raises(UserError, match="is being written by another process"):
                prepare("image-folder", tree, tmp_path / "out")

    prepare("image-folder", tree, tmp_path / "out", progress=second)


@pytest.mark.slow
def test_a_process_that_is_killed_in_the_middle_leaves_what_can_be_gone_on_with(tmp_path):
    tree = make_tree(tmp_path / "pets", counts={"train": 300, "test": 3})
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from cnn_jax.data.prepare import prepare\n"
        "def kill(done, total, what):\n"
        "    if done > 300: os.kill(os.getpid(), signal.SIGKILL)\n"
        "prepare('image-folder', Path(sys.argv[1]), Path(sys.argv[2]), progress=kill,"
        " shard_bytes=3000)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, tree, tmp_path / "out"], check=False)
    assert run.returncode == -9
    prepare("image-folder", tree, tmp_path / "out", shard_bytes=3000)
    prepare("image-folder", tree, tmp_path / "whole", shard_bytes=3000)
    assert shards_of(tmp_path / "out/pets/1.0.0") == shards_of(
        tmp_path / "whole/pets/1.0.0"
    )
