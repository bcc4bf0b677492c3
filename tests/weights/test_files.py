import gzip
import io
import os
import pickle
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cnn_jax.errors import UserError
from cnn_jax.weights.files import read_arrays
from cnn_jax.weights.keras_files import read_keras
from cnn_jax.weights.safetensors_files import read_safetensors, write_safetensors
from cnn_jax.weights.torch_files import read_torch
from tests.weights.torch_archive import refusal

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.mark.parametrize("extension", [".pth", ".safetensors", ".h5", ".bin", ""])
def test_the_content_decides_not_the_name(tmp_path, extension):
    path = tmp_path / f"weights{extension}"
    write_safetensors(path, {"x": np.arange(3)}, {"k": "v"})
    np.testing.assert_array_equal(read_arrays(path)["x"], [0, 1, 2])
    for name in ("small_zip", "small_legacy"):
        shutil.copy(FIXTURES / "torch" / f"{name}.pth", path)
        assert "conv.weight" in read_arrays(path)
    for name in ("whole_model.h5", "keras3.weights.h5"):
        shutil.copy(FIXTURES / "keras" / name, path)
        assert "norm/beta" in read_arrays(path)


@pytest.mark.parametrize("length", [0x280, 0x380, 0x480, 0x580])
def test_a_length_that_looks_like_a_pickle_is_none(tmp_path, length):
    path = tmp_path / "w"
    write_safetensors(path, {"x": np.arange(3)}, {"pad": ""})
    pad = length - int.from_bytes(path.read_bytes()[:8], "little")
    write_safetensors(path, {"x": np.arange(3)}, {"pad": "x" * pad})
    assert path.read_bytes()[0] == 0x80
    assert list(read_arrays(path)) == ["x"]


def archive(files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as zipped:
        for name in files:
            zipped.writestr(name, b"content")
    return content.getvalue()


def tar():
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as packed:
        for name in ("storages", "tensors", "pickle"):  # as torch did at first
            packed.addfile(tarfile.TarInfo(name), io.BytesIO())
    return content.getvalue()


def numpy_file(save, *arrays):
    content = io.BytesIO()
    save(content, *arrays)
    return content.getvalue()


OTHERS = {
    "empty": (b"", "is empty"),
    "page": (b"\n<!DOCTYPE html><html>404</html>", "a web page, as a failed download"),
    "error": (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "a web page"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git lfs pull"),
    "json": (b'{"layers": []}', "JSON"),
    "list_of_json": (b'{"a":1}\n{"a":2}\n', "JSON"),
    "text": (b"conv1 0.1 0.2\n" * 9, "text"),
    "noise": (bytes(range(128, 256)) * 3, "no known kind"),
    "zeros": (bytes(999), "no known kind"),
    "gzip": (gzip.compress(b"x" * 999), "packed with gzip"),
    "tar": (tar(), "a tar archive; unpack it, or, if torch before 0.1.10"),
    "tar_gz": (gzip.compress(tar()), "a tar archive"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(99), "an image"),
    "npy": (numpy_file(np.save, np.zeros(3)), "a NumPy array without a name"),
    "npz": (numpy_file(np.savez, np.zeros(3)), "a NumPy archive"),
    "keras": (archive(["config.json", "model.weights.h5"]), "unpack model.weights.h5"),
    "zip": (archive(["a.txt", "b/c.txt"]), "something else (it holds a.txt, b/c.txt)"),
    "no_zip": (archive([]), "something else (it holds nothing)"),
    "two": (archive(["a/data.pkl", "b/data.pkl"]), "something else"),
    "list": (pickle.dumps([1, 2]), "not one of torch.save"),
    "array": (pickle.dumps(np.zeros(3), 2), "asks for numpy"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_file_of_weights_is_said_to_be_what_it_is(tmp_path, name):
    content, description = OTHERS[name]
    assert description in refusal(tmp_path, content, read_arrays)
    for read in (read_torch, read_keras, read_safetensors):
        refusal(tmp_path, content, read)


@pytest.mark.parametrize("read", [read_arrays, read_torch, read_keras, read_safetensors])
def test_what_is_no_file_is_refused(tmp_path, read):
    with pytest.raises(UserError, match="is a directory"):
        read(tmp_path)
    with pytest.raises(UserError, match="No such file"):
        read(tmp_path / "missing")
    os.mkfifo(tmp_path / "pipe")  # nobody writes: opening it would wait forever
    with pytest.raises(UserError, match="is a device or a pipe"):
        read(tmp_path / "pipe")
    with pytest.raises(UserError, match="File name too long"):
        read(tmp_path / ("x" * 300))
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(UserError, match="circle can't be read"):
        read(tmp_path / "circle")
