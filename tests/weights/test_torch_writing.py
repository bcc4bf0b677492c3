import pickletools
import struct
import time
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cnn_jax.errors import UserError
from cnn_jax.weights.torch_files import read_torch
from cnn_jax.weights.torch_pickle import _INSTRUCTIONS
from cnn_jax.weights.torch_writing import STORAGE_TYPES, write_torch

ARRAYS = {
    "conv.weight": np.arange(54, dtype=np.float32)
    .reshape(2, 3, 3, 3)
    .transpose(3, 1, 2, 0),
    "norm.num_batches_tracked": np.array(7),
    "empty": np.zeros((0, 3), np.float32),
    "big_endian": np.arange(3, dtype=">f8"),
    "läyer": np.arange(5).astype(jnp.bfloat16),
    "flag": np.array([True, False]),
}


def test_what_is_written_is_read_again_bitwise(tmp_path):
    path = tmp_path / "w.pth"
    write_torch(path, ARRAYS)
    found = read_torch(path)
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype.newbyteorder("=")
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.astype(found[name].dtype).tobytes()


@settings(max_examples=30, deadline=None, database=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.sampled_from(list(STORAGE_TYPES)[:4] + list(STORAGE_TYPES)[5:]).flatmap(
            lambda dtype: (
                hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0))
                if dtype != jnp.bfloat16
                else hnp.arrays(np.int16, (3,))
            )
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_names_shapes_and_types_survive(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("any") / "w.pth"
    write_torch(path, arrays)
    found = read_torch(path)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


def test_the_same_arrays_give_the_same_bytes_whenever(tmp_path, monkeypatch):
    write_torch(tmp_path / "a.pth", ARRAYS)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(1e9))
    write_torch(tmp_path / "another.pth", {k: v.copy("K") for k, v in ARRAYS.items()})
    content = (tmp_path / "a.pth").read_bytes()
    assert content == (tmp_path / "another.pth").read_bytes()


def test_an_archive_as_torch_wants_it(tmp_path):
    path = tmp_path / "w.pth"
    write_torch(path, ARRAYS)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        pickled = archive.read("archive/data.pkl")
        for member in archive.infolist():
            name, extra = struct.unpack_from("<HH", content, member.header_offset + 26)
            assert (member.header_offset + 30 + name + extra) % 64 == 0
            assert member.compress_type == zipfile.ZIP_STORED
        assert archive.read("archive/version") == b"3\n"
        assert archive.read("archive/byteorder") == b"little"
    assert names[0] == "archive/data.pkl"
    assert {f"archive/data/{i}" for i in range(len(ARRAYS))} < set(names)
    # Python's own parser agrees that this is a pickle, and with whose instructions.
    asked = {
        argument
        for code, argument, _ in pickletools.genops(pickled)
        if code.name == "GLOBAL"
    }
    assert {name.split()[0] for name in asked} == {"torch", "torch._utils", "collections"}
    codes = {code.code.encode("latin1") for code, _, _ in pickletools.genops(pickled)}
    assert codes <= set(_INSTRUCTIONS) | {b"."}


def test_what_torch_has_no_type_for_is_refused_before_anything_is_written(tmp_path):
    path = tmp_path / "w.pth"
    with pytest.raises(ValueError, match="x is uint16; a torch file has float64"):
        write_torch(path, {"x": np.zeros(3, np.uint16)})
    with pytest.raises(ValueError, match="no arrays"):
        write_torch(path, {})
    assert list(tmp_path.iterdir()) == []


class Broken:
    """An array that fails when its numbers are wanted."""

    dtype, shape, ndim, size = np.dtype(np.float32), (3,), 1, 3

    def __array__(self, *_args, **_fields):
        raise RuntimeError("lost")


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "w.pth"
    write_torch(path, {"x": np.arange(3)})
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="lost"):
        write_torch(path, {"a": np.zeros(9), "x": Broken()})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_can_t_be_written_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"cannot write .*missing/w\.pth: No such file"):
        write_torch(tmp_path / "missing" / "w.pth", {"x": np.arange(3)})
    (tmp_path / "w.pth").mkdir()
    with pytest.raises(UserError, match="cannot write"):
        write_torch(tmp_path / "w.pth", {"x": np.arange(3)})
    assert [p.name for p in tmp_path.iterdir()] == ["w.pth"]
