"""Files that claim sizes, or want to take all memory or all time: refused in a moment."""

import io
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from tests.weights.torch_archive import (
    MAGIC,
    ORDERED_DICT,
    REBUILD,
    VERSION,
    legacy,
    number,
    read_bytes,
    refusal,
    state_dict,
    storage,
    tensor,
    text,
    zipped,
)


@pytest.fixture(autouse=True)
def _quick_and_small():
    """Every file here is refused in a moment, whatever sizes it claims."""
    tracemalloc.start()
    start = time.perf_counter()
    yield
    seconds = time.perf_counter() - start
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 5
    assert peak < 1 << 27


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((2, 3), (3, 1), 1),  # one element too far
        ((2, 3), (4, 1), 0),
        ((7,), (1,), 0),
        ((1,), (1,), 6),
        ((1,), (1,), 1 << 70),
        ((1,), (1,), -1),
        ((2, 3), (-3, 1), 5),
        ((-2, -3), (3, 1), 0),
        ((1 << 40,), (0,), 0),  # expanded
        ((6, 6), (1, 0), 0),
        ((3, 3), (1, 1), 0),
        ((1 << 40, 0), (1, 1), 0),
        ((1 << 70,), (1,), 0),
        ((1 << 32, 1 << 32), (1, 1), 0),  # 2**64: 0 in 64 bits
        ((2, 3), (1 << 63, 1), 0),
        ((2, 3), (3,), 0),
        ((1,) * 33, (1,) * 33, 0),
    ],
)
def test_no_tensor_reaches_out_of_its_storage_or_is_larger(
    tmp_path, shape, strides, offset
):
    pickled = state_dict(w=tensor(shape, strides, offset))
    for content in (zipped(pickled), legacy(pickled)):
        refusal(tmp_path, content)


def test_a_size_of_one_may_have_any_stride(tmp_path):
    pickled = state_dict(w=tensor((1, 6), (1 << 70, 1)))
    np.testing.assert_array_equal(read_bytes(tmp_path, zipped(pickled))["w"], [range(6)])


@pytest.mark.parametrize("claimed", [7, 10**15, 1 << 62, 1 << 80])
def test_no_storage_is_larger_than_the_file(tmp_path, claimed):
    pickled = state_dict(w=tensor(of=storage(elements=claimed)))
    assert "has 24 bytes" in refusal(tmp_path, zipped(pickled))
    count = struct.pack("<q", min(claimed, (1 << 63) - 1))
    assert "truncated" in refusal(tmp_path, legacy(pickled, ["0"], [count + bytes(24)]))


@pytest.mark.parametrize("key", ["../../../etc/passwd", "/etc/passwd", "0/../0", "", "1"])
def test_a_storage_s_key_is_never_a_path(tmp_path, key):
    message = refusal(tmp_path, zipped(state_dict(w=tensor(of=storage(key)))))
    assert f"has no data/{key}" in message


def test_one_storage_is_not_two(tmp_path):
    double = storage(kind=b"ctorch\nDoubleStorage\n", elements=3)
    pickled = state_dict(a=tensor(), b=tensor((3,), (1,), of=double))
    assert "two sizes or types" in refusal(tmp_path, zipped(pickled))


def test_a_boolean_is_zero_or_one(tmp_path):
    flags = tensor(of=storage(kind=b"ctorch\nBoolStorage\n"))
    good, bad = b"\0\1\0\1\0\1", b"\0\1\0\2\0\1"
    assert read_bytes(tmp_path, zipped(state_dict(w=flags), {"0": good}))["w"].sum() == 3
    assert "neither 0 nor 1" in refusal(tmp_path, zipped(state_dict(w=flags), {"0": bad}))


def test_a_conjugate_tensor_is_refused(tmp_path):
    marked = tensor(rest=b"\x89}}(" + text("conj") + b"\x88u")
    assert "conjugate" in refusal(tmp_path, zipped(state_dict(w=marked)))


def nested(depth=60):
    """A tuple of 2**60 leaves in 180 bytes: hashing or printing it takes forever."""
    return b"Nq\0" + b"h\0h\0\x86q\0" * depth + b"h\0"


@pytest.mark.parametrize(
    "pickled",
    [
        b"}" + nested() + b"Ns.",  # as a key
        b"(" + nested() + b"NNNNtQ.",  # as a tag
        b"(" + text("storage") + nested() + text("0") + b"NK\x06tQ.",  # as a type
        nested() + nested() + b"\x93.",  # as a name
        nested() + b")R.",  # as a function
        REBUILD + b"(" + nested() + b"NNNNNtR.",
        b"ctorch._utils\n_rebuild_tensor_v3\n("
        + storage()
        + b"K\0))\x89}"
        + nested()
        + b"tR.",
        nested() + b".",
    ],
)
def test_values_that_take_forever_to_look_at(tmp_path, pickled):
    refusal(tmp_path, zipped(b"\x80\x02" + pickled))


def test_keys_that_all_hash_to_one_number(tmp_path):
    keys = b"".join(number(k * ((1 << 61) - 1)) + b"N" for k in range(1, 5_000))
    assert "a dict's key" in refusal(tmp_path, zipped(b"\x80\x02}(" + keys + b"u."))


def test_one_list_can_t_be_copied_again_and_again(tmp_path):
    pairs = b"](" + b"".join(text(str(i)) + b"N\x86" for i in range(5_000)) + b"e\x85q\1"
    calls = b"(" + b"h\0h\1R" * 5_000 + b"t."
    pickled = b"\x80\x02" + ORDERED_DICT + b"q\0" + pairs + calls
    assert "no dict of tensors" in refusal(tmp_path, zipped(pickled))
    sizes = b"](" + b"K\1" * 5_000 + b"e\x85q\1"
    pickled = b"\x80\x02ctorch\nSize\nq\0" + sizes + calls
    assert "too many" in refusal(tmp_path, zipped(pickled))


def test_depth_numbers_and_cycles_cost_nothing(tmp_path):
    deep = b"\x80\x02" + b"]" * 9_000 + b"a" * 8_999 + b"."
    refusal(tmp_path, zipped(deep))
    refusal(tmp_path, zipped(b"\x80\x02)" + b"\x85" * 9_000 + b"."))
    refusal(tmp_path, zipped(b"\x80\x02]r\xff\xff\xff\xff" + b"j\xff\xff\xff\xffa."))
    itself = b"\x80\x02}q\0" + text("model") + b"h\0s."
    assert "(its keys: model)" in refusal(tmp_path, zipped(itself))


def test_a_pickle_longer_than_any_network_s_is_refused(tmp_path):
    long = b"\x80\x02}" + text("x" * (1 << 22)) + b"Ns."
    assert "longer than 4194304 bytes" in refusal(tmp_path, zipped(long))
    assert "longer than 4194304 bytes" in refusal(tmp_path, MAGIC + VERSION + long)


def test_an_archive_that_is_packed_overlapping_ambiguous_or_locked_is_refused(tmp_path):
    good = state_dict(w=tensor())
    bomb = zipped(good, {"0": bytes(1 << 24)}, pack=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 1 << 16
    assert "is packed" in refusal(tmp_path, bomb)

    content = io.BytesIO(zipped(good))
    with (
        zipfile.ZipFile(content, "a") as archive,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        archive.writestr("a/data/0", bytes(24))
    assert "two members" in refusal(tmp_path, content.getvalue())

    content = io.BytesIO(zipped(good))
    with zipfile.ZipFile(content, "a") as archive:
        first = archive.getinfo("a/data/0")
        for copy in range(99):  # the same bytes under a hundred names
            again = zipfile.ZipInfo(f"a/data/{copy + 1}")
            again.header_offset, again.CRC = first.header_offset, first.CRC
            again.compress_size = again.file_size = first.file_size << 8
            archive.filelist.append(again)
            archive.NameToInfo[again.filename] = again
        archive._didModify = True
    assert "larger than the file" in refusal(tmp_path, content.getvalue())

    locked = bytearray(zipped(good))
    entry = locked.find(b"PK\x01\x02")
    locked[entry + 8] |= 1
    assert "encrypted" in refusal(tmp_path, locked)
