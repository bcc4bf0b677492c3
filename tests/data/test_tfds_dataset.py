import json
import pickle
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cnn_jax.data import tfds_dataset
from cnn_jax.data.datasets import describe_dataset, open_dataset
from cnn_jax.data.image_folder import open_image_folder
from cnn_jax.data.prepare import prepare
from cnn_jax.data.prepare_records import encode, serialize
from cnn_jax.data.record_index import FILE
from cnn_jax.data.records import array_record, parse
from cnn_jax.data.tfds_names import parse_name, tfds_directory
from cnn_jax.errors import UserError
from tests.data.image_trees import make_tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    counts = {"train": 30, "test": 4}
    return make_tree(tmp_path_factory.mktemp("tree") / "pets", counts=counts)


@pytest.fixture(scope="module")
def prepared(tree, tmp_path_factory):
    """A dataset of several shards, as ``data prepare`` leaves it."""
    out = tmp_path_factory.mktemp("out")
    prepare("image-folder", tree, out, shard_bytes=1500)
    return out


@pytest.fixture
def root(prepared, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(prepared, tmp_path / "root")


@pytest.fixture
def foreign(root):
    """A copy as if another program had prepared it."""
    (root / "pets" / "1.0.0" / FILE).unlink()
    return root


def message_of(root, name="tfds:pets", do=open_dataset):
    with pytest.raises(UserError) as caught:
        do(name, root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_names_have_a_config_and_a_version_in_any_order():
    assert parse_name("tfds:mnist") == ("mnist", None, None)
    assert parse_name("tfds:mnist:3.0.1") == ("mnist", None, "3.0.1")
    assert parse_name("tfds:mnist/3.0.1") == ("mnist", None, "3.0.1")
    assert parse_name("tfds:places/small:1.2.3") == ("places", "small", "1.2.3")
    assert parse_name("tfds:places:small/1.2.3") == ("places", "small", "1.2.3")
    for name in ("", "../x", "/etc", "A", "a/../b", "a/b/c", "a:1.0.0:2.0.0", "a/", "a\\b"):
        with pytest.raises(UserError, match="is no name of TFDS; expected tfds:NAME"):
            parse_name(f"tfds:{name}")


def test_the_directory_is_the_given_one_or_that_of_tfds(tmp_path, monkeypatch):
    assert tfds_directory(tmp_path) == tmp_path
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "env"))
    assert tfds_directory(None) == tmp_path / "env"
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tfds_directory(None) == tmp_path / "tensorflow_datasets"


def test_little_is_known_before_it_is_opened(prepared, monkeypatch):
    info = describe_dataset("tfds:pets")
    assert (info.title, info.channels, info.num_classes) == ("pets (TFDS)", None, None)
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    assert info.open(None).fingerprint == open_dataset("tfds:pets", prepared).fingerprint
    assert describe_dataset("mnist").channels == 1


def test_pictures_are_read_one_by_one_from_all_shards_and_by_any_thread(prepared, tree):
    assert len(list((prepared / "pets" / "1.0.0").glob("pets-train*"))) > 3
    original, dataset = open_image_folder(tree), open_dataset("tfds:pets", prepared)
    for split in ("train", "validation", "test"):
        for size in (None, (20, 24)):
            wanted, found = (d.pictures(split, 3, size) for d in (original, dataset))
            assert found.names == wanted.names
            assert found.labels.tolist() == wanted.labels.tolist()
            again = pickle.loads(pickle.dumps(found.decode))
            positions = np.random.default_rng(0).integers(0, len(found.labels), 200)
            with ThreadPoolExecutor(8) as pool:
                images = list(pool.map(again, positions.tolist()))
            for position, image in zip(positions, images, strict=True):
                assert (image == wanted.decode(position)).all()


def test_another_programs_dataset_gives_its_last_tenth_to_validation(foreign, tree):
    dataset = open_dataset("tfds:pets", foreign)
    assert dataset.label == "pets (TFDS)"
    assert dataset.classes == ("cat", "dog")
    splits = dataset.read((32, 32, 3))
    assert [len(s.labels) for s in splits] == [54, 6, 8]
    assert splits.validation.labels.tolist() == [1] * 6
    assert dataset.pictures("test", 3, None).names[0] == "test/0"
    # Labels and images are those of the tree, which this is made of.
    original = open_image_folder(tree).read((32, 32, 3))
    assert (splits.test.images == original.test.images).all()
    assert (splits.test.labels == original.test.labels).all()


def test_the_labels_of_a_large_dataset_of_another_program_are_read_once(
    foreign, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tfds_dataset, "WHOLE", 100)
    wanted = open_dataset("tfds:pets", foreign).pictures("train", 3, None).labels

    def never(*_):
        raise AssertionError

    monkeypatch.setattr("cnn_jax.data.records.Records.labels", never)
    found = open_dataset("tfds:pets", foreign).pictures("train", 3, None).labels
    assert found.tolist() == wanted.tolist()
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(AssertionError):
        open_dataset("tfds:pets", foreign)


def test_any_change_of_the_files_changes_the_fingerprint(root, tree):
    assert (
        open_dataset("tfds:pets", root).fingerprint == open_image_folder(tree).fingerprint
    )
    home = root / "pets" / "1.0.0"
    shard = next(iter(home.glob("pets-test*")))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    changed = open_dataset_anyway(root)
    (home / "label.labels.txt").write_text("dog\ncat\n")
    assert (
        len({open_image_folder(tree).fingerprint, changed, open_dataset_anyway(root)}) == 3
    )


def open_dataset_anyway(root):
    """The fingerprint, also of records that can't be read."""
    return tfds_dataset._known(root / "pets" / "1.0.0")[1]


def test_what_is_not_there_is_told_with_the_command(root, tmp_path):
    message = message_of(tmp_path / "nowhere", "tfds:mnist")
    assert f"prepare it: cnn-jax data prepare mnist --from DIR --out {tmp_path}" in message
    assert "there are versions 1.0.0" in message_of(root, "tfds:pets:2.0.0")
    (root / "pets" / "2.0.0.incomplete").mkdir()
    open_dataset("tfds:pets", root)
    (root / "zoo" / "small").mkdir(parents=True)
    (root / "pets" / "1.0.0").rename(root / "zoo" / "small" / "1.0.0")
    message = message_of(root, "tfds:zoo")
    assert "has the configs small in" in message
    assert "name one: tfds:zoo/small" in message


def test_the_newest_version_is_taken(root):
    home = root / "pets"
    for version in ("1.0.9", "1.0.10"):
        shutil.copytree(home / "1.0.0", home / version)
    (home / "1.0.10" / "label.labels.txt").write_text("newest\nother\n")
    assert open_dataset("tfds:pets", root).classes == ("newest", "other")
    assert open_dataset("tfds:pets:1.0.9", root).classes == ("cat", "dog")


def edit_info(root, change):
    path = root / "pets" / "1.0.0" / "dataset_info.json"
    info = json.loads(path.read_text())
    change(info)
    path.write_text(json.dumps(info))


def test_tfrecord_is_refused_with_what_to_do(root):
    edit_info(root, lambda info: info.update(fileFormat="tfrecord"))
    message = message_of(root)
    assert "is prepared as tfrecord, which can't be read without TensorFlow" in message
    assert "tfds build --file_format=array_record" in message
    path = root / "pets" / "1.0.0" / "dataset_info.json"
    path.write_text("{")
    assert f"{path} can't be read" in message_of(root)


def test_a_missing_split_is_named_and_validation_stands_for_test(foreign):
    edit_info(foreign, lambda info: info["splits"].pop())
    assert "has no test or validation split with labels; it has train" in message_of(
        foreign
    )
    for path in foreign.rglob("pets-train*"):
        path.with_name(path.name.replace("train", "validation")).write_bytes(
            path.read_bytes()
        )

    def rename(info):
        info["splits"].append(info["splits"][0] | {"name": "validation"})

    edit_info(foreign, rename)
    dataset = open_dataset("tfds:pets", foreign)
    assert [
        len(dataset.pictures(s, 3, None).labels) for s in ("train", "validation", "test")
    ] == [54, 6, 60]
    edit_info(foreign, lambda info: info["splits"].pop(0))
    assert "has no train split with labels; it has validation" in message_of(foreign)


def test_features_without_an_image_and_a_label_are_told(root):
    path = root / "pets" / "1.0.0" / "features.json"
    features = json.loads(path.read_text())
    del features["featuresDict"]["features"]["label"]
    path.write_text(json.dumps(features))
    message = message_of(root)
    assert (
        "has the features image, image/filename; expected an image (uint8, 1 or" in message
    )


def write_shard(path, records):
    writer = array_record().ArrayRecordWriter(str(path), "group_size:1")
    for record in records:
        writer.write(record)
    writer.close()


def test_a_record_that_can_not_be_read_is_named_by_its_key(foreign):
    shard = sorted(foreign.rglob("pets-test*"))[0]
    before = array_record().ArrayRecordReader(str(shard)).read_all()
    example = {"label": 1, "image/filename": b"odd.png"}
    for image, expected in (
        ({"image": b"no image"}, r"tfds:pets test, record 0 (odd.png) can't be decoded"),
        ({}, "tfds:pets test, record 0 (odd.png) has no feature 'image'"),
    ):
        write_shard(shard, [serialize(example | image), *before[1:]])
        found = open_dataset("tfds:pets", foreign).pictures("test", 3, None)
        with pytest.raises(UserError) as caught:
            found.decode(0)
        assert expected in str(caught.value)
        assert found.decode(1).shape == (32, 32, 3)
    write_shard(shard, [serialize({"image": b""}), *before[1:]])
    assert "record 0 has no feature 'label'" in message_of(foreign)
    write_shard(shard, [b"\xff\xff", *before[1:]])
    assert "is no tf.train.Example" in message_of(foreign)
    with pytest.raises(UserError, match=r"is no tf\.train\.Example"):
        parse(b"\xff\xff")


def test_a_truncated_missing_or_damaged_shard_is_named(root):
    shards = sorted(root.rglob("pets-train*"))
    dataset = open_dataset("tfds:pets", root)
    count = len(dataset.pictures("train", 3, None).labels)
    whole = shards[1].read_bytes()
    shards[1].write_bytes(whole[: len(whole) // 2])
    message = message_of(root)  # the index does not fit any more, so all is looked through
    assert f"{shards[1]} is truncated or damaged: it holds 0 records, expected" in message
    found = dataset.pictures("train", 3, None)  # opened before
    with pytest.raises(UserError, match="is truncated or damaged"):
        [found.decode(i) for i in range(count)]
    damaged = bytearray(whole)
    for at in range(150, 600):  # in the first records; behind the last there is padding
        damaged[at] ^= 0xFF
    shards[1].write_bytes(damaged)
    with pytest.raises(UserError, match=r"tfds:pets train, record train/.*can't be read: "):
        [found.decode(i) for i in range(count)]
    shards[1].unlink()
    assert f"{shards[1]} is missing; {len(shards)} shards were expected" in message_of(root)


def test_unlabelled_test_images_are_no_test_split(foreign):
    shards = sorted(foreign.rglob("pets-test*"))
    for shard in shards:
        count = array_record().ArrayRecordReader(str(shard)).num_records()
        image = encode(np.zeros((8, 8, 3), np.uint8), "PNG")
        write_shard(shard, [serialize({"image": image, "label": -1})] * count)
    assert "has no test or validation split with labels" in message_of(foreign)
    assert "tensorflow" not in sys.modules
