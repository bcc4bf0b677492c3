import pytest

from cnn_jax.data.image_folder import CIFAR10_CLASSES
from cnn_jax.data.prepare import prepare
from cnn_jax.errors import UserError
from tests.data.image_trees import image_bytes, make_tree
from tests.data.original_files import odd_image, write_imagenet


def test_jpeg_and_png_keep_their_bytes_and_the_odd_ones_become_png_or_jpeg(tmp_path):
    import tensorflow_datasets as tfds

    tree = make_tree(tmp_path / "odd", ("a",), counts={"train": 2, "test": 1})
    files = {
        "b.jpg": odd_image("L", "JPEG"),
        "c.jpg": odd_image("CMYK", "JPEG"),
        "d.jpg": odd_image("RGB", "PNG"),  # a PNG by its content
        "e.gif": odd_image("P", "GIF"),
    }
    for name, content in files.items():
        (tree / "train" / "a" / name).write_bytes(content)
    prepare("image-folder", tree, tmp_path / "out")
    skip = {"image": tfds.decode.SkipDecoding()}
    found = tfds.data_source("odd", split="train", data_dir=tmp_path / "out", decoders=skip)
    written = {
        e["image/filename"].decode(): e["image"] for e in (found[i] for i in range(6))
    }
    assert written["b.jpg"] == files["b.jpg"]
    assert written["d.jpg"] == files["d.jpg"]
    assert written["c.jpg"].startswith(b"\x89PNG")
    assert written["e.gif"].startswith(b"\x89PNG")
    out = tmp_path / "net"
    prepare("imagenet2012", write_imagenet(tmp_path / "tars"), out)
    found = tfds.data_source("imagenet2012", split="train", data_dir=out, decoders=skip)
    assert all(found[i]["image"].startswith(b"\xff\xd8") for i in range(len(found)))


def test_a_damaged_image_is_named_and_nothing_looks_whole(tmp_path):
    tree = make_tree(tmp_path / "pets", suffix="jpg", format="JPEG", side=64)
    bad = tree / "train" / "dog" / "3.jpg"
    bad.write_bytes(bad.read_bytes()[:-60])  # the end of its picture
    with pytest.raises(UserError, match=r"train/dog/3\.jpg can't be decoded as an image"):
        prepare("image-folder", tree, tmp_path / "out")
    assert not (tmp_path / "out" / "pets" / "1.0.0").exists()
    bad.write_bytes(image_bytes(1))
    tree = make_tree(
        tmp_path / "cifar",
        CIFAR10_CLASSES,
        counts={"train": 2, "test": 1},
        side=33,
    )
    with pytest.raises(UserError, match="has 33x33 pixels, expected 32x32"):
        prepare("cifar10", tree, tmp_path / "out")
