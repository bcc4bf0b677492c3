import contextlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_jax.errors import UserError
from cnn_jax.weights.keras_files import read_keras
from tests.weights.torch_archive import refusal

FIXTURES = Path(__file__).parent / "fixtures" / "keras"
SHAPES = {
    "block1_conv1/kernel": (3, 3, 2, 3),
    "block1_conv1/bias": (3,),
    "norm/beta": (3,),
    "norm/moving_mean": (3,),
    "norm/moving_variance": (3,),
    "predictions/kernel": (12, 2),
    "predictions/bias": (2,),
}
# As make_keras_file_fixtures.py made them: whole numbers, each array 100 further.
EXPECTED = {
    name: np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + 100 * number
    for number, (name, shape) in enumerate(SHAPES.items())
}


def assert_same(found, expected):
    assert sorted(found) == sorted(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype.newbyteorder("=")
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def refusal_of(folder, write, **fields):
    """Return how a file is refused that ``write`` fills."""
    path = folder / "w.h5"
    with h5py.File(path, "w", **fields) as file:
        write(file)
    return refusal(folder, path.read_bytes(), read_keras)


def write_legacy(file, layers):
    """Write arrays as Keras 2 does: names as strings of one length, paths with ``:0``."""
    file.attrs["layer_names"] = np.array([layer.encode() for layer in layers])
    for layer, weights in layers.items():
        group = file.create_group(layer)
        group.attrs["weight_names"] = np.array([name.encode() for name in weights])
        for name, array in weights.items():
            if array is not None:
                group[name] = array


@pytest.mark.parametrize("name", ["whole_model.h5", "keras3.weights.h5"])
def test_both_of_keras_layouts_have_keras_arrays(name):
    assert_same(read_keras(FIXTURES / name), EXPECTED)


TYPES = ("<f4", ">f4", "<f2", "<f8", ">i8", "<i2", "|u1", "<u4")


def test_a_file_of_keras_2_with_any_plain_type(tmp_path, draw):
    arrays = {t: draw.integers(0, 99, (3, 2)).astype(t) for t in TYPES}
    with h5py.File(tmp_path / "w.h5", "w") as file:
        write_legacy(
            file,
            {
                "input_1": {},
                **{
                    f"layer_{i}": {f"layer_{i}/w:0": a}
                    for i, a in enumerate(arrays.values())
                },
                "block1_conv1": {"block1_conv1_W_1:0": np.zeros((0, 3))},  # Keras 1
                "scope/deep": {"scope/deep/bias:0": np.float32(7)},
            },
        )
    expected = {f"layer_{i}/w": a for i, a in enumerate(arrays.values())}
    expected["block1_conv1/block1_conv1_W_1"] = np.zeros((0, 3))
    expected["scope/deep/bias"] = np.array(7, np.float32)
    assert_same(read_keras(tmp_path / "w.h5"), expected)


def test_many_layers_and_names_cut_into_several_attributes(tmp_path):
    layers = [f"layer_{i:04}" for i in range(400)]  # a tree of two levels
    with h5py.File(tmp_path / "w.h5", "w") as file:
        for part in range(2):
            names = [name.encode() for name in layers[200 * part : 200 * part + 200]]
            file.attrs[f"layer_names{part}"] = np.array(names)
        for i, layer in enumerate(layers):
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/kernel:0"]  # of any length
            group[f"{layer}/kernel:0"] = np.float32(i)
            group.attrs["more"] = "x" * 999  # the header goes on elsewhere
    found = read_keras(tmp_path / "w.h5")
    assert list(found) == [f"{layer}/kernel" for layer in layers]
    assert [int(value) for value in found.values()] == list(range(400))


def test_links_are_not_followed(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        write_legacy(file, {"a": {"kernel:0": np.arange(3.0)}})

    def elsewhere(file):
        write_legacy(file, {"a": {"kernel:0": None}})
        file["a/kernel:0"] = h5py.ExternalLink("secret.h5", "a/kernel:0")

    def soft(file):
        write_legacy(file, {"a": {"kernel:0": None}})
        file["b"] = np.arange(3.0)
        file["a/kernel:0"] = h5py.SoftLink("/b")

    def outside(file):
        write_legacy(file, {"a": {"kernel:0": None}})
        (tmp_path / "secret.bin").write_bytes(bytes(24))
        file["a"].create_dataset(
            "kernel:0", (3,), "<f8", external=[(str(tmp_path / "secret.bin"), 0, 24)]
        )

    def virtual(file):
        write_legacy(file, {"a": {"kernel:0": None}})
        layout = h5py.VirtualLayout((3,), "<f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "a/kernel:0", (3,))
        file["a"].create_virtual_dataset("kernel:0", layout)

    assert "has links" in refusal_of(tmp_path, elsewhere)
    assert "or only a link" in refusal_of(tmp_path, soft)
    assert "in another file" in refusal_of(tmp_path, outside)
    refusal_of(tmp_path, virtual)


def test_arrays_that_could_be_larger_than_the_file_are_refused(tmp_path):
    def bomb(file):
        write_legacy(file, {"a": {"kernel:0": None}})
        file["a"].create_dataset("kernel:0", (1 << 20, 1 << 20), "<f4", compression="gzip")

    def pieces(file):
        write_legacy(file, {"a": {"kernel:0": None}})
        file["a"].create_dataset("kernel:0", (1 << 20, 1 << 20), "<f4", chunks=(9, 9))

    def never_written(file):
        write_legacy(file, {"a": {"kernel:0": None}})
        file["a"].create_dataset("kernel:0", (1 << 20, 1 << 20), "<f4")

    def again_and_again(file):
        names = [f"l{i}" for i in range(50)]
        write_legacy(file, {name: {"kernel:0": None} for name in names})
        file["one"] = np.zeros(10_000)
        for name in names:
            file[name]["kernel:0"] = file["one"]

    assert "packed or in pieces" in refusal_of(tmp_path, bomb)
    assert "packed or in pieces" in refusal_of(tmp_path, pieces)
    assert "larger than the file" in refusal_of(tmp_path, never_written)
    assert "larger than the file" in refusal_of(tmp_path, again_and_again)


@pytest.mark.parametrize(
    "value",
    [
        np.array([b"text"]),
        np.array([True]),
        np.array([1j]),
        np.zeros(2, [("a", "f4"), ("b", "i4")]),
        h5py.Empty("f4"),
    ],
)
def test_what_is_no_array_of_plain_numbers_is_refused(tmp_path, value):
    refusal_of(tmp_path, lambda file: write_legacy(file, {"a": {"kernel:0": value}}))


def test_other_hdf5_files_are_refused(tmp_path):
    def data(file):
        file["images"] = np.zeros(3)

    def missing(file):
        write_legacy(file, {"a": {"kernel:0": None}})

    def same_name(file):
        write_legacy(file, {"a": {"b/kernel:0": np.zeros(3), "c/kernel:0": np.zeros(3)}})

    def nested(file):
        file["layers/functional/layers/dense/vars/0"] = np.zeros(3)

    def unknown(file):
        file["layers/lstm/vars/0"] = np.zeros(3)

    def layer_is_an_array(file):
        file.attrs["layer_names"] = np.array([b"a"])
        file["a"] = np.zeros(3)

    assert "something else (it holds images)" in refusal_of(tmp_path, data)
    assert "has no kernel:0" in refusal_of(tmp_path, missing)
    assert "two of its arrays are a/kernel" in refusal_of(tmp_path, same_name)
    assert "a model inside a model" in refusal_of(tmp_path, nested)
    assert "1 weights of layers/lstm" in refusal_of(tmp_path, unknown)
    assert "no group" in refusal_of(tmp_path, layer_is_an_array)
    assert "newer HDF5" in refusal_of(tmp_path, data, libver="latest")


@pytest.mark.parametrize("name", ["whole_model.h5", "keras3.weights.h5"])
def test_damaged_files_are_right_or_refused(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("damaged")
    content = (FIXTURES / name).read_bytes()

    @settings(max_examples=40, deadline=None, database=None)
    @given(st.integers(1, len(content) - 1), st.integers(0, 255))
    def damage(position, byte):
        refusal(folder, content[:position], read_keras)
        (folder / "w").write_bytes(
            content[:position] + bytes([byte]) + content[position + 1 :]
        )
        with contextlib.suppress(UserError):  # HDF5 has no check sum in this layout
            read_keras(folder / "w")

    damage()


def test_groups_without_an_end_are_refused(tmp_path):
    """A tree whose node is its own child, a header that goes on in itself."""
    with h5py.File(tmp_path / "w.h5", "w") as file:
        for i in range(400):
            file.create_group(f"g{i}")
    content = bytearray((tmp_path / "w.h5").read_bytes())
    root = int.from_bytes(content[64:72], "little")
    trees = [at for at in range(0, len(content), 8) if content[at : at + 4] == b"TREE"]
    top = next(at for at in trees if content[at + 5] == 1)
    looped = bytearray(content)
    looped[top + 32 : top + 40] = top.to_bytes(8, "little")
    assert "tree of a group" in refusal(tmp_path, looped, read_keras)
    looped = bytearray(content)
    looped[root + 16 : root + 24] = b"\x10\0\x10\0\0\0\0\0"  # goes on at
    looped[root + 24 : root + 40] = (
        (root + 16).to_bytes(8, "little") + bytes([24]) + bytes(7)
    )
    assert "no end" in refusal(tmp_path, looped, read_keras)
