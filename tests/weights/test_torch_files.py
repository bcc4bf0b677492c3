import contextlib
import shutil
import struct
import zipfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_jax.errors import UserError
from cnn_jax.weights.torch_files import read_torch
from tests.weights.torch_archive import (
    legacy,
    read_bytes,
    refusal,
    state_dict,
    storage,
    tensor,
    zipped,
)

FIXTURES = Path(__file__).parent / "fixtures" / "torch"
FEW = settings(max_examples=25, deadline=None, database=None)


def in_order(shapes, dtypes):
    """The arrays of make_torch_fixtures.py: whole numbers, each array 100 further."""
    return {
        name: (np.arange(np.prod(shape, dtype=int)).reshape(shape) + 100 * number).astype(
            dtypes.get(name, np.float32)
        )
        for number, (name, shape) in enumerate(shapes.items())
    }


SMALL = in_order(
    {
        "conv.weight": (2, 3, 3, 3),
        "conv.bias": (2,),
        "norm.weight": (2,),
        "norm.bias": (2,),
        "norm.running_mean": (2,),
        "norm.running_var": (2,),
        "norm.num_batches_tracked": (),
        "fc.weight": (3, 4),
        "fc.bias": (3,),
    },
    {"norm.num_batches_tracked": np.int64},
)
BASE = np.arange(24, dtype=np.float32).reshape(4, 6)
SIGNED = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8")
EXPECTED = {
    "small": SMALL,
    "checkpoint": SMALL,
    "parameters": {k: v for k, v in SMALL.items() if "running" not in k and "num" not in k},
    "views": {
        "base": BASE,
        "transposed": BASE.T,
        "row": BASE[2],
        "column": BASE[:, 3],
        "every_second": BASE[::2, 1::3],
        "last": BASE[3, 5],
        "kernel": np.arange(36, dtype=np.float32).reshape(2, 2, 3, 3),
    },
    "types": {
        **{name: np.arange(-3, 9).astype(jnp.dtype(name)) for name in SIGNED},
        **{f"uint{n}": np.arange(12, dtype=f"uint{n}") for n in (8, 16, 32, 64)},
        "bool": np.arange(-3, 9) > 2,
        "scalar": np.array(7),
        "empty": np.zeros((0, 3), np.float32),
        "nothing": np.zeros((2, 0), np.int64),
    },
}


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].shape == array.shape, name
        np.testing.assert_array_equal(found[name], array, err_msg=name)


OWN = [f"{content}_{form}" for content in EXPECTED for form in ("zip", "legacy")]


@pytest.mark.parametrize("name", [*OWN, "small_protocol_4"])
def test_torch_s_own_files_have_torch_s_arrays(name):
    assert_same(read_torch(FIXTURES / f"{name}.pth"), EXPECTED[name.partition("_")[0]])


def test_tensors_of_one_storage_share_memory_and_nobody_can_write_it():
    arrays = read_torch(FIXTURES / "views_zip.pth")
    assert np.shares_memory(arrays["base"], arrays["transposed"])
    assert not any(array.flags.writeable for array in arrays.values())


def test_big_endian_elements_are_turned_round(tmp_path):
    kinds = {"0": (b"Float", ">6f"), "1": (b"Short", ">6h"), "2": (b"BFloat16", ">6H")}
    parts = {
        f"t{key}": tensor(of=storage(key, kind=b"ctorch\n" + kind + b"Storage\n"))
        for key, (kind, _) in kinds.items()
    }
    bits = np.arange(6).astype(jnp.bfloat16).view(np.uint16)
    raw = {
        "0": struct.pack(">6f", *range(6)),
        "1": struct.pack(">6h", *range(6)),
        "2": struct.pack(">6H", *bits),
    }
    content = zipped(state_dict(**parts), raw, byte_order=b"big")
    for array in read_bytes(tmp_path, content).values():
        np.testing.assert_array_equal(array.astype(int), [[0, 1, 2], [3, 4, 5]])


def test_strings_and_dicts_of_python_2(tmp_path):
    pairs = b"](](U\x01a" + tensor() + b"e](T\x01\0\0\0b" + tensor((6,), (1,)) + b"ee"
    pickled = b"\x80\x02ccollections\nOrderedDict\n" + pairs + b"\x85R."
    for content in (zipped(pickled), legacy(pickled)):
        arrays = read_bytes(tmp_path, content)
        np.testing.assert_array_equal(arrays["a"], [[0, 1, 2], [3, 4, 5]])
        np.testing.assert_array_equal(arrays["b"], range(6))


def test_a_state_dict_inside_a_checkpoint_must_be_the_only_one(tmp_path):
    inner = b"}(" + b"X\1\0\0\0w" + tensor() + b"u"
    one = state_dict(epoch=b"K\x03", model=inner)
    np.testing.assert_array_equal(read_bytes(tmp_path, zipped(one))["w"].ravel(), range(6))
    two = state_dict(model=inner, epoch=b"K\x03", model_ema=inner)
    assert "model, model_ema (its keys: model, epoch, model_ema)" in refusal(
        tmp_path, zipped(two)
    )
    none = state_dict(epoch=b"K\x03", best=inner)
    assert "(its keys: epoch, best)" in refusal(tmp_path, zipped(none))
    many = state_dict(**{f"k{i}": b"N" for i in range(99)})
    assert "k8, k9, ...)" in refusal(tmp_path, zipped(many))
    mixed = state_dict(w=tensor(), extra=b"N")
    assert "(its keys: w, extra)" in refusal(tmp_path, zipped(mixed))


@pytest.mark.parametrize("value", [b"]", b"}", tensor(), b"N", b"K\x07"])
def test_what_is_no_dict_of_tensors_is_refused(tmp_path, value):
    message = refusal(tmp_path, zipped(b"\x80\x02" + value + b"."))
    assert "it holds no dict of tensors" in message


def test_a_whole_module_and_a_program_are_refused():
    with pytest.raises(UserError, match=r"asks for __main__\.Small, which is no part"):
        read_torch(FIXTURES / "module.pth")
    with pytest.raises(UserError, match="TorchScript program"):
        read_torch(FIXTURES / "program.pth")


FULL = pytest.mark.parametrize("name", ["small_zip", "small_legacy"])


@FULL
def test_cut_off_anywhere_it_is_refused(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("cut")
    content = (FIXTURES / f"{name}.pth").read_bytes()

    @FEW
    @given(st.integers(1, len(content) - 1))
    def cut(length):
        refusal(folder, content[:length])

    cut()


@FULL
def test_with_any_byte_changed_it_is_right_or_refused(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("changed")
    content = (FIXTURES / f"{name}.pth").read_bytes()

    @FEW
    @given(st.integers(0, len(content) - 1), st.integers(0, 255))
    def change(position, byte):
        changed = bytearray(content)
        changed[position] = byte
        with contextlib.suppress(UserError):
            arrays = read_bytes(folder, changed)
            if name == "small_zip":  # the legacy format has no check sum
                assert_same(arrays, SMALL)

    change()


def test_one_wrong_bit_in_an_element_breaks_the_check_sum(tmp_path):
    path = tmp_path / "small.pth"
    shutil.copy(FIXTURES / "small_zip.pth", path)
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("small_zip/data/0")
    content = bytearray(path.read_bytes())
    start = content.find(np.arange(54, dtype=np.float32).tobytes(), member.header_offset)
    content[start + 100] ^= 1
    assert "Bad CRC-32 for file 'small_zip/data/0'" in refusal(tmp_path, content)


@pytest.mark.parametrize(
    ("storages", "keys", "problem"),
    [
        ([struct.pack("<q5f", 5, *range(5))], ["0"], "is truncated"),
        ([struct.pack("<q6f", 5, *range(6))], ["0"], "size of storage 0"),
        ([struct.pack("<q6f", -6, *range(6))], ["0"], "size of storage 0"),
        ([struct.pack("<q7f", 6, *range(7))], ["0"], "behind its last storage"),
        ([struct.pack("<q6f", 6, *range(6))], ["1"], "not those of its storages"),
        ([struct.pack("<q6f", 6, *range(6))], [], "not those of its storages"),
        ([struct.pack("<q6f", 6, *range(6))] * 2, ["0", "0"], "not those of its storages"),
    ],
)
def test_storages_of_a_legacy_file_that_are_not_as_described(
    tmp_path, storages, keys, problem
):
    assert problem in refusal(tmp_path, legacy(state_dict(w=tensor()), keys, storages))


@pytest.mark.parametrize(
    ("pickles", "problem"),
    [
        (b"\x80\x02K\x01.", "not one of torch.save"),
        (b"\x80\x04\x95\x02\0\0\0\0\0\0\0}\x94.", "not one of torch.save"),
        (legacy(b"")[:15] + b"\x80\x02K\x01.", "its version is not 1001"),
    ],
)
def test_a_pickle_that_is_no_file_of_torch(tmp_path, pickles, problem):
    assert problem in refusal(tmp_path, pickles)
