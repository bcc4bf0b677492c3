import pickle
import tarfile

import numpy as np
import pytest

from cnn_jax.data.imagenet import open_imagenet2012, wordnet_ids
from cnn_jax.errors import UserError
from tests.data.image_trees import image_bytes
from tests.data.original_files import WORDNET, odd_image, tar_of, write_imagenet

TRAIN, VALIDATION = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_imagenet(tmp_path_factory.mktemp("imagenet") / "tars")


@pytest.fixture
def tars(tmp_path):
    return write_imagenet(tmp_path / "tars")


def message_of(folder):
    with pytest.raises(UserError) as caught:
        open_imagenet2012(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_classes_are_the_sorted_wordnet_ids():
    ids = wordnet_ids()
    assert len(set(ids)) == 1000
    assert list(ids) == sorted(ids)
    assert (ids[0], ids[1], ids[999]) == WORDNET


def test_the_validation_images_are_the_test_split_with_the_labels_of_their_numbers(whole):
    dataset = open_imagenet2012(whole)
    assert dataset.label == "ImageNet 2012 (3 of 1000 classes)"
    found = dataset.pictures("test", 3, None)
    assert found.names == tuple(f"val/ILSVRC2012_val_{i:08d}.JPEG" for i in range(1, 5))
    # The first images of the challenge show a sea snake, the Alps, a Shetland sheepdog
    # and a soup bowl.
    labels = ("n01751748", "n09193705", "n02105855", "n04263257")
    assert [dataset.classes[label] for label in found.labels] == list(labels)
    red = [int(found.decode(i)[0, 0, 0]) for i in range(4)]
    assert np.abs(np.array(red) - [201, 202, 203, 204]).max() <= 2  # JPEG


def test_training_images_are_sorted_and_split_by_hash_and_cmyk_png_and_grey_decode(whole):
    dataset = open_imagenet2012(whole)
    train, held_out = (dataset.pictures(s, 3, None) for s in ("train", "validation"))
    assert len(held_out.labels) >= 1
    names = sorted(train.names + held_out.names)
    assert names == sorted(f"train/{w}/{w}_{i}.JPEG" for w in WORDNET for i in range(5))
    assert list(train.names) == sorted(train.names)
    by_name = {}
    for found in (train, held_out):
        for position, name in enumerate(found.names):
            assert dataset.classes[found.labels[position]] == name.split("/")[1]
            by_name[name] = found.decode(position)
    for number, (mode, kind) in enumerate(
        (("CMYK", "JPEG"), ("RGB", "PNG"), ("L", "JPEG"))
    ):
        image = by_name[f"train/{WORDNET[1]}/{WORDNET[1]}_{number}.JPEG"]
        assert image.shape == (16, 24, 3), (mode, kind)
    ramp = np.arange(16 * 24, dtype=np.uint8).reshape(16, 24)
    png = by_name[f"train/{WORDNET[1]}/{WORDNET[1]}_1.JPEG"]
    assert (png[..., 0] == ramp).all()
    cmyk = by_name[f"train/{WORDNET[1]}/{WORDNET[1]}_0.JPEG"].astype(int)
    assert np.abs(cmyk[..., 0] - ramp).mean() < 6  # not its negative


def test_what_decodes_can_be_sent_to_another_process_and_reads_the_same(whole):
    found = open_imagenet2012(whole).pictures("train", 3, (16, 16))
    sent = pickle.dumps(found.decode)
    assert len(sent) < 3000  # places, no images
    again = pickle.loads(sent)
    for position in range(len(found.labels)):
        assert (again(position) == found.decode(position)).all()


def test_the_tree_that_scripts_unpack_has_the_same_examples(tmp_path):
    root = tmp_path / "tree"
    for folder, count in (("train", 1), ("val", 1)):
        for wordnet_id in wordnet_ids():
            (root / folder / wordnet_id).mkdir(parents=True)
            for number in range(count):
                (root / folder / wordnet_id / f"{number}.JPEG").write_bytes(b"?")
    dataset = open_imagenet2012(root)
    assert dataset.classes == wordnet_ids()
    assert dataset.pictures("test", 3, None).labels.tolist() == list(range(1000))
    (root / "train" / "n01440764").rename(root / "train" / "n00000001")
    (root / "val" / "n01440764").rename(root / "val" / "n00000001")
    assert "(n00000001, ...), expected the 1000 WordNet ids" in message_of(root)


def test_missing_truncated_and_packed_tars_are_named(tars):
    whole = (tars / TRAIN).read_bytes()
    for cut in (0, 700, len(whole) // 2, len(whole) - 10_240):
        (tars / TRAIN).write_bytes(whole[:cut])
        assert f"{tars / TRAIN} is truncated or damaged" in message_of(tars)
    (tars / TRAIN).unlink()
    assert f"{tars} has no {TRAIN}; expected" in message_of(tars)
    with tarfile.open(tars / TRAIN, "w:gz") as tar:
        tar.add(tars / VALIDATION, "n01440764.tar")
    assert "is packed (gzip or xz), expected the plain tar as published" in message_of(tars)
    (tars / VALIDATION).unlink()
    assert "has no ILSVRC2012_img_val.tar" in message_of(tars)


def test_what_does_not_belong_into_the_tars_is_named(tars):
    image = image_bytes(1, format="JPEG")
    inner = tar_of({"n01440764_1.JPEG": image})
    escaping = tar_of({"../escaped.JPEG": image})
    for files, expected in (
        ({"n00000001.tar": inner}, "holds n00000001.tar, which is no class of ImageNet"),
        ({"n01440764.tar": tar_of({})}, "n01440764.tar is empty, expected images"),
        ({"n01440764.tar": inner[:600]}, "train.tar!n01440764.tar is truncated or damaged"),
        ({"n01440764.tar": b"?" * 600}, "train.tar!n01440764.tar is truncated or damaged"),
        ({"n01440764.tar": escaping}, "refused because of the name with '..'"),
        ({}, "is empty; expected one tar for each class"),
    ):
        (tars / TRAIN).write_bytes(tar_of(files))
        assert expected in message_of(tars)
    write_imagenet(tars.parent / "again")
    (tars.parent / "again" / TRAIN).rename(tars / TRAIN)
    for name in ("ILSVRC2012_val_00000000.JPEG", "ILSVRC2012_val_00050001.JPEG", "x.JPEG"):
        (tars / VALIDATION).write_bytes(tar_of({name: image}))
        assert f"holds {name}, expected ILSVRC2012_val_00000001.JPEG to" in message_of(tars)


def test_a_broken_image_is_named_when_it_is_decoded(tars):
    files = {f"n01440764_{i}.JPEG": odd_image("RGB", "JPEG")[: 400 + i] for i in range(3)}
    (tars / TRAIN).write_bytes(tar_of({"n01440764.tar": tar_of(files)}))
    found = open_imagenet2012(tars).pictures("train", 3, None)
    with pytest.raises(
        UserError, match=r"train\.tar!train/n01440764/n01440764_\d\.JPEG can't"
    ):
        found.decode(0)
