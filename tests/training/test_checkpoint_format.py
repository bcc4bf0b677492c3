import json
import shutil

import jax
import numpy as np
import pytest

from cnn_jax.errors import UserError
from cnn_jax.training import checkpoint_format
from cnn_jax.training.checkpoint import open_checkpoints
from cnn_jax.training.checkpoint_format import UnreadableError, read_about
from tests.checkpoint_states import LIKE, make, same


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory):
    """A directory with the checkpoints 10 and 20; to be copied, not to be changed."""
    directory = tmp_path_factory.mktemp("master") / "checkpoints"
    with open_checkpoints(directory) as checkpoints:
        checkpoints.save(10, make(10), validation_error=0.25)
        checkpoints.save(20, make(20), validation_error=0.5)
    return directory


def _unlink(path):
    path.unlink()


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path):
    content = bytearray(path.read_bytes())
    if content:
        content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [_unlink, _cut, _flip])
def test_a_damaged_file_costs_one_checkpoint(tmp_path, two_steps, damage, capfd):
    files = [path for path in (two_steps / "20").rglob("*") if path.is_file()]
    assert len(files) > 5
    for number, file in enumerate(files):
        directory = tmp_path / str(number)
        shutil.copytree(two_steps, directory)
        name = file.relative_to(two_steps)
        if not file.stat().st_size and damage is not _unlink:
            continue
        damage(directory / name)
        with open_checkpoints(directory, read_only=True) as checkpoints:
            state, problems = checkpoints.restore(LIKE)
        (problem,) = problems
        assert problem.startswith("the checkpoint of step 20 is not readable ("), name
        assert file.name in problem
        assert same(state, make(10))
        shutil.rmtree(directory)
    assert capfd.readouterr() == ("", "")  # nothing but the line that is returned


def test_what_only_orbax_finds_costs_one_checkpoint_too(tmp_path, two_steps, monkeypatch):
    directory = tmp_path / "checkpoints"
    shutil.copytree(two_steps, directory)
    (directory / "20" / "state" / "_METADATA").write_text("{}")
    read = checkpoint_format._files
    sound = read(two_steps / "20" / "state", two_steps / "20")
    monkeypatch.setattr(
        checkpoint_format,
        "_files",
        lambda below, root: sound if root.name == "20" else read(below, root),
    )
    with open_checkpoints(directory, read_only=True) as checkpoints:
        state, problems = checkpoints.restore(LIKE)
    assert same(state, make(10))
    assert len(problems) == 1


def test_no_flipped_bit_in_about_changes_what_it_says(tmp_path, two_steps):
    shutil.copy(two_steps / "20" / "about.json", tmp_path)
    content = (tmp_path / "about.json").read_bytes()
    said = read_about(tmp_path)
    for i in range(0, len(content), 5):
        flipped = bytearray(content)
        flipped[i] ^= 1 << (i % 8)
        (tmp_path / "about.json").write_bytes(flipped)
        try:
            assert read_about(tmp_path) == said
        except UnreadableError:
            continue


def test_training_goes_on_from_the_last_good_one_and_replaces_the_damaged(
    tmp_path, two_steps
):
    directory = tmp_path / "checkpoints"
    shutil.copytree(two_steps, directory)
    _cut(directory / "20" / "about.json")
    with open_checkpoints(directory, best=0) as checkpoints:
        state, problems = checkpoints.restore(LIKE)
        assert same(state, make(10))
        assert problems == [
            "the checkpoint of step 20 is not readable (about.json is cut off or garbled)"
        ]
        assert checkpoints.steps() == [10, 20]  # reading changes nothing
        checkpoints.save(15, make(15))
        checkpoints.wait()
        assert checkpoints.steps() == [10, 15]  # not 15 and the damaged one
        checkpoints.save(20, make(20))
    with open_checkpoints(directory, read_only=True) as checkpoints:
        state, problems = checkpoints.restore(LIKE)
    assert same(state, make(20))
    assert problems == []


def test_the_damaged_one_itself_can_be_written_again(tmp_path, two_steps):
    directory = tmp_path / "checkpoints"
    shutil.copytree(two_steps, directory)
    for step in ("10", "20"):
        (directory / step / "about.json").unlink()
    with open_checkpoints(directory) as checkpoints:
        state, problems = checkpoints.restore(LIKE)
        assert state is None
        assert len(problems) == 2
        checkpoints.save(10, make(10))
        checkpoints.wait()
        assert checkpoints.steps() == [10]
        assert same(checkpoints.restore(LIKE).state, make(10))


def _without(tree, *path):
    copied = jax.tree.map(lambda leaf: leaf, tree)
    del copied.params[path[0]][path[1]]
    return copied


def _with(tree, leaf, name="bias"):
    copied = jax.tree.map(lambda leaf: leaf, tree)
    copied.params["conv1"][name] = leaf
    return copied


@pytest.mark.parametrize(
    ("like", "message"),
    [
        (
            _with(make(0), np.zeros(6)),
            "params.conv1.bias is (4,) float64 there, (6,) float64 here",
        ),
        (
            _with(make(0), np.zeros(4, np.float32)),
            "params.conv1.bias is (4,) float64 there, (4,) float32 here",
        ),
        (
            _with(make(0), np.zeros((2, 1)), "scale"),
            "params.conv1.scale is not there, (2, 1) float64 here",
        ),
        (
            _without(make(0), "conv1", "bias"),
            "params.conv1.bias is (4,) float64 there, not here",
        ),
    ],
)
def test_a_checkpoint_of_another_network_is_refused_not_passed_over(
    two_steps, like, message
):
    with (
        open_checkpoints(two_steps, read_only=True) as checkpoints,
        pytest.raises(UserError) as caught,
    ):
        checkpoints.restore(like)
    assert message in str(caught.value)
    assert "the checkpoint of step 20 in" in str(caught.value)
    assert "nothing was changed" in str(caught.value)


def test_a_checkpoint_of_another_version_is_refused(tmp_path, two_steps):
    shutil.copytree(two_steps / "20", tmp_path / "20")
    about = tmp_path / "20" / "about.json"
    facts = json.loads(about.read_text())
    del facts["crc32"]
    facts["format"] = 2
    crc32 = checkpoint_format._crc32_of_facts(facts)
    about.write_text(json.dumps({**facts, "crc32": crc32}))
    with open_checkpoints(tmp_path) as checkpoints:
        with pytest.raises(UserError, match="by another version of cnn_jax"):
            checkpoints.restore(LIKE)
        shutil.rmtree(tmp_path / "20")
        (tmp_path / "30" / "default").mkdir(parents=True)  # as 0.1 wrote them
        with pytest.raises(UserError, match="by another version of cnn_jax"):
            checkpoints.restore(LIKE)
        assert checkpoints.steps() == [30]
