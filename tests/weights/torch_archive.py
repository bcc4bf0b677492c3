"""Files of torch made by hand, instruction by instruction: what torch would never write."""

import io
import struct
import zipfile

import pytest

from cnn_jax.errors import UserError
from cnn_jax.weights.torch_files import read_torch

MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
VERSION = b"\x80\x02M\xe9\x03."
MACHINE = b"\x80\x02}."
ORDERED_DICT = b"ccollections\nOrderedDict\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def text(value):
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value):
    size = (value.bit_length() + 8) // 8
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def numbers(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(key="0", elements=6, kind=b"ctorch\nFloatStorage\n"):
    return (
        b"(" + text("storage") + kind + text(key) + text("cpu") + number(elements) + b"tQ"
    )


def tensor(shape=(2, 3), strides=(3, 1), offset=0, *, of=None, rest=b"\x89}"):
    of = storage() if of is None else of
    view = number(offset) + numbers(shape) + numbers(strides)
    return REBUILD + b"(" + of + view + rest + b"tR"


def state_dict(**values):
    items = b"".join(text(name) + value for name, value in values.items())
    return b"\x80\x02}(" + items + b"u."


def zipped(pickled, storages=None, *, byte_order=b"little", pack=zipfile.ZIP_STORED):
    """Return an archive; by default with the one storage of ``storage()``: 0 to 5."""
    order = "<" if byte_order == b"little" else ">"
    storages = {"0": struct.pack(f"{order}6f", *range(6))} if storages is None else storages
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", pack) as archive:
        archive.writestr("a/data.pkl", pickled)
        archive.writestr("a/byteorder", byte_order)
        for key, elements in storages.items():
            archive.writestr(f"a/data/{key}", elements)
    return content.getvalue()


def legacy(pickled, keys=("0",), storages=None):
    """Return a file of the legacy format."""
    storages = [struct.pack("<q6f", 6, *range(6))] if storages is None else storages
    keys = b"\x80\x02](" + b"".join(map(text, keys)) + b"e."
    return MAGIC + VERSION + MACHINE + pickled + keys + b"".join(storages)


def read_bytes(folder, content, name="file.pth"):
    path = folder / name
    path.write_bytes(content)
    return read_torch(path)


def refusal(folder, content, read=read_torch, name="file.pth"):
    """Return the one line with which a file is refused."""
    path = folder / name
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < len(str(path)) + 400
    return message
