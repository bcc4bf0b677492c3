import json
import struct
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from cnn_jax.errors import UserError
from cnn_jax.weights.safetensors_files import read_safetensors, write_safetensors
from tests.weights.torch_archive import refusal

ARRAYS = {
    "turned": np.arange(54, dtype=np.float32).reshape(2, 3, 9).transpose(2, 0, 1),
    "scalar": np.array(7),
    "empty": np.zeros((0, 3), np.float32),
    "big_endian": np.arange(3, dtype=">f8"),
    "läyer/kernel": np.arange(5).astype(np.float16),
    "flag": np.array([True, False, True]),
    "bytes": np.arange(3, dtype=np.uint8),
}
METADATA = {"source": "torchvision/vgg16", "ä": 'two\nlines "quoted" \x7f', "a": ""}


def assert_same(found, arrays):
    assert sorted(found) == sorted(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype.newbyteorder("=")
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.astype(found[name].dtype).tobytes()


def test_what_is_written_is_read_again_bitwise_by_us_and_by_the_library(tmp_path):
    path = tmp_path / "w.safetensors"
    write_safetensors(path, ARRAYS, METADATA)
    found, metadata = read_safetensors(path)
    assert_same(found, ARRAYS)
    assert metadata == METADATA
    assert_same(load_file(path), ARRAYS)


def test_bfloat16_survives(tmp_path):
    arrays = {"b": np.arange(-3, 9).astype(jnp.bfloat16), "a": np.zeros(2, np.int8)}
    write_safetensors(tmp_path / "w", arrays, {})
    assert_same(read_safetensors(tmp_path / "w")[0], arrays)


def test_what_the_library_wrote_is_read(tmp_path):
    arrays = {k: np.ascontiguousarray(v) for k, v in ARRAYS.items() if k != "scalar"}
    save_file(arrays, tmp_path / "w", {"k": "v"})
    found, metadata = read_safetensors(tmp_path / "w")
    assert_same(found, arrays)
    assert metadata == {"k": "v"}
    save_file(arrays, tmp_path / "w")
    assert read_safetensors(tmp_path / "w")[1] == {}


def test_the_same_content_gives_the_same_bytes_and_aligned_elements(tmp_path):
    write_safetensors(tmp_path / "a", ARRAYS, METADATA)
    turned = dict(reversed(ARRAYS.items()))
    write_safetensors(tmp_path / "b", turned, dict(reversed(METADATA.items())))
    content = (tmp_path / "a").read_bytes()
    assert content == (tmp_path / "b").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert length % 8 == 0
    del header["__metadata__"]
    for name, entry in header.items():
        assert entry["data_offsets"][0] % ARRAYS[name].itemsize == 0


def test_wrong_arguments_are_refused_before_anything_is_written(tmp_path):
    path = tmp_path / "w"
    with pytest.raises(ValueError, match="x is complex64; a safetensors file has float64"):
        write_safetensors(path, {"x": np.zeros(3, np.complex64)}, {})
    with pytest.raises(ValueError, match="metadata are strings"):
        write_safetensors(path, {"x": np.zeros(3)}, {"epoch": 3})
    with pytest.raises(ValueError, match="__metadata__"):
        write_safetensors(path, {"__metadata__": np.zeros(3)}, {})
    assert list(tmp_path.iterdir()) == []


def test_no_place_no_file(tmp_path):
    with pytest.raises(UserError, match="cannot write"):
        write_safetensors(tmp_path / "missing" / "w", {"x": np.zeros(3)}, {})


def test_damaged_files_are_one_line(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    write_safetensors(folder / "w", ARRAYS, METADATA)
    content = (folder / "w").read_bytes()

    @settings(max_examples=40, deadline=None, database=None)
    @given(st.integers(1, len(content) - 1), st.integers(0, 255))
    def damage(position, byte):
        refusal(folder, content[:position], read_safetensors)
        (folder / "w").write_bytes(
            content[:position] + bytes([byte]) + content[position + 1 :]
        )
        try:
            read_safetensors(folder / "w")
        except UserError as error:
            assert str(error).count("\n") == 0  # noqa: PT017

    damage()
    refusal(folder, content + b"\0", read_safetensors)


def test_a_header_with_a_type_that_numpy_lacks_is_refused(tmp_path):
    header = b'{"x":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}'
    content = struct.pack("<Q", len(header)) + header + b"ab"
    refusal(tmp_path, content, read_safetensors)


def test_without_the_library_one_line_says_what_to_install(tmp_path, monkeypatch):
    write_safetensors(tmp_path / "w", ARRAYS, {})
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(UserError, match=r"pip install 'cnn_jax\[weights\]'"):
        read_safetensors(tmp_path / "w")
