"""Read HDF5 files as h5py writes them: groups, lists of names, arrays of plain numbers.

Own reader instead of h5py: of some ten thousand Keras files with a few bytes changed, the
HDF5 library (2.0, by h5py 3.16) went round in circles for six and crashed on one; and it
follows links into other files. This one reads the file's own bytes, and not without end.
It knows the classic layout (superblock 0, groups as symbol tables), which h5py writes
unless told otherwise, and arrays that stand in the file as they are.

Source: The HDF Group, "HDF5 File Format Specification Version 3.0"; section numbers below
    are of that document.
"""

import io
import os
import struct
from math import prod
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.weights.torch_tensors import UnreadableError

MAGIC = b"\x89HDF\r\n\x1a\n"
_MOST_METADATA = 1 << 24  # bytes that are read beside the arrays; a ResNet-152 has 2 MiB

# Messages of an object header, IV.A.2
_DATASPACE, _DATATYPE, _EXTERNAL, _LAYOUT, _FILTERS = 0x1, 0x3, 0x7, 0x8, 0xB
_ATTRIBUTE, _CONTINUATION, _SYMBOL_TABLE = 0xC, 0x10, 0x11
_NEW_GROUP = (0x2, 0x6)  # link info, link
_SHARED = 2  # a message's flag: it stands elsewhere
_SYMBOLIC = 2  # a member's kind: a link to a path
_FIXED, _FLOAT, _STRING, _VARIABLE = 0, 1, 3, 9  # classes of types, IV.A.2.d
_CONTIGUOUS = 1  # an array's layout, IV.A.2.i
_MOST_AXES = 32

# Position and number of bits of exponent and mantissa, and bias (IV.A.2.d).
_FLOATS = {2: (10, 5, 0, 10, 15), 4: (23, 8, 0, 23, 127), 8: (52, 11, 0, 52, 1023)}

_NEWER = (
    "it has links or the layout of a newer HDF5; only what h5py writes by default is read"
)


class Group(NamedTuple):
    """A group.

    Attributes:
        members: where the header of each is, by name; None for a symbolic link.
        names: its attributes that are strings or lists of strings.
    """

    members: dict[str, int | None]
    names: dict[str, tuple[str, ...]]


class Dataset(NamedTuple):
    """An array in the file.

    Attributes:
        dtype: of the numbers, in the file's byte order.
        shape: of the array.
        start: position of the first byte.
        nbytes: its length in bytes.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    nbytes: int


class Hdf5File:
    """An open file; every method raises ``UnreadableError`` for a damaged one."""

    def __init__(self, file: io.BufferedReader) -> None:
        """Read the superblock (II.A)."""
        self._file = file
        self.size = os.fstat(file.fileno()).st_size
        self._read_bytes = 0
        self._heaps: dict[int, dict[int, bytes]] = {}
        head = self._take(0, 96)
        if not head.startswith(MAGIC):
            raise UnreadableError("it is no HDF5 file")
        if head[8] != 0 or head[13:15] != b"\x08\x08":
            raise UnreadableError(_NEWER)
        base, end, self.root = (_number(head, at) for at in (24, 40, 64))
        if base or end > self.size:
            raise UnreadableError(f"it is truncated: it has {self.size} bytes, not {end}")

    def read(self, address: int) -> Group | Dataset:
        """Return what the object header at an address describes (IV.A.1)."""
        messages = self._messages(address)
        if any(kind in messages for kind in _NEW_GROUP):
            raise UnreadableError(_NEWER)
        if _SYMBOL_TABLE in messages:
            table = messages[_SYMBOL_TABLE][0]
            names = {}
            for message in messages.get(_ATTRIBUTE, ()):
                name, value = self._attribute(message)
                names[name] = value
            members = self._members(_number(table, 0), _number(table, 8))
            return Group(members, {k: v for k, v in names.items() if v is not None})
        if _LAYOUT in messages:
            return self._dataset(messages)
        raise UnreadableError("it is damaged: something in it is neither group nor array")

    def array(self, dataset: Dataset) -> np.ndarray:
        """Return an array's numbers in this machine's byte order."""
        content = np.zeros(dataset.nbytes, np.uint8)
        self._file.seek(dataset.start)
        self._file.readinto(content.data)
        array = content.view(dataset.dtype).reshape(dataset.shape)
        return array.astype(dataset.dtype.newbyteorder("="), copy=False)

    def _take(self, start: int, count: int) -> bytes:
        self._read_bytes += count
        if start + count > self.size:
            raise UnreadableError(f"it is truncated or damaged: nothing is at byte {start}")
        if self._read_bytes > _MOST_METADATA:
            raise UnreadableError("it is damaged: its groups have no end")
        self._file.seek(start)
        return self._file.read(count)

    def _messages(self, address: int) -> dict[int, list[bytes]]:
        if self._take(address, 4) == b"OHDR":
            raise UnreadableError(_NEWER)
        version, _, _, size = _unpack("<BxHII", self._take(address, 12))
        if version != 1:
            raise UnreadableError("it is damaged: an object header")
        found: dict[int, list[bytes]] = {}
        blocks = [(address + 16, size)]
        for start, length in blocks:
            block = self._take(start, length)
            at = 0
            while at + 8 <= length:
                kind, size, flags = _unpack("<HHB", block, at)
                body = block[at + 8 : at + 8 + size]
                at += 8 + size
                if kind and flags & _SHARED:
                    raise UnreadableError(_NEWER)
                if kind == _CONTINUATION:
                    blocks.append((_number(body, 0), _number(body, 8)))
                found.setdefault(kind, []).append(body)
        return found

    def _members(self, tree: int, heap: int) -> dict[str, int | None]:
        """Return a group's members: its B-tree (III.A.1), symbol nodes and heap (III.D)."""
        head = self._take(heap, 32)
        names = self._take(_number(head, 24), _number(head, 8))
        members: dict[str, int | None] = {}
        nodes: list[tuple[int, int | None]] = [(tree, None)]
        while nodes:
            address, parent_level = nodes.pop()
            node = self._take(address, 24)
            level, used = node[5], int.from_bytes(node[6:8], "little")
            if node[:5] != b"TREE\0" or parent_level not in (None, level + 1):
                raise UnreadableError("it is damaged: the tree of a group")
            entries = self._take(address + 24, 16 * used + 8)
            children = [_number(entries, 16 * child + 8) for child in range(used)]
            if level:
                nodes += [(child, level) for child in children]
                continue
            for child in children:
                self._symbols(child, names, members)
        return members

    def _symbols(self, address: int, names: bytes, into: dict[str, int | None]) -> None:
        head = self._take(address, 8)
        if head[:5] != b"SNOD\1":
            raise UnreadableError("it is damaged: the names of a group")
        count = int.from_bytes(head[6:8], "little")
        entries = self._take(address + 8, 40 * count)
        for at in range(0, 40 * count, 40):
            start, header, cache = _unpack("<QQI", entries, at)
            end = names.find(b"\0", start)
            if end < 0:
                raise UnreadableError("it is damaged: the names of a group")
            name = _text(names[start:end])
            into[name] = None if cache == _SYMBOLIC else header

    def _attribute(self, message: bytes) -> tuple[str, tuple[str, ...] | None]:
        """Return an attribute's name and its strings (IV.A.2.m); None for other values."""
        version, flags, *sizes = _unpack("<BBHHH", message)
        if version not in (1, 2, 3) or (version > 1 and flags):
            raise UnreadableError(_NEWER)
        at = 9 if version == 3 else 8
        parts = []
        for size in sizes:
            parts.append(message[at : at + size])
            at += size + (-size % 8 if version == 1 else 0)
        name, datatype, dataspace = parts
        return _text(name.rstrip(b"\0")), self._strings(datatype, dataspace, message[at:])

    def _strings(
        self, datatype: bytes, space: bytes, value: bytes
    ) -> tuple[str, ...] | None:
        kind, _, size = _type(datatype)
        count = prod(_shape(space))
        if count == 0:
            return ()
        if kind not in (_STRING, _VARIABLE) or not 0 < count * size <= len(value):
            return None
        items = [value[at : at + size] for at in range(0, count * size, size)]
        if kind == _VARIABLE:
            items = [self._heap_object(item) for item in items]
        return tuple(_text(item.split(b"\0")[0]) for item in items)

    def _heap_object(self, reference: bytes) -> bytes:
        """Return a string of variable length from a global heap (III.E)."""
        length, address, index = _unpack("<IQI", reference)
        if length == 0:
            return b""
        if address not in self._heaps:
            head = self._take(address, 16)
            if head[:4] != b"GCOL":
                raise UnreadableError("it is damaged: the strings of an attribute")
            self._heaps[address] = _heap_objects(self._take(address, _number(head, 8)))
        found = self._heaps[address].get(index)
        if found is None or length > len(found):
            raise UnreadableError("it is damaged: the strings of an attribute")
        self._read_bytes += length
        return found[:length]

    def _dataset(self, messages: dict[int, list[bytes]]) -> Dataset:
        if _EXTERNAL in messages:
            raise UnreadableError("an array of it stands in another file; refused")
        if not {_DATASPACE, _DATATYPE} <= messages.keys():
            raise UnreadableError("it is damaged: an array without shape or type")
        dtype = _dtype(messages[_DATATYPE][0])
        shape = _shape(messages[_DATASPACE][0])
        version, layout = _unpack("<BB", messages[_LAYOUT][0])
        if version not in (3, 4) or layout != _CONTIGUOUS or _FILTERS in messages:
            raise UnreadableError(
                "an array of it is packed or in pieces; Keras writes arrays as they are "
                "(h5repack -f NONE -l CONTI unpacks them)"
            )
        if max((0, *shape)) > self.size:
            raise UnreadableError("it is damaged: an array is larger than the file")
        size = prod(shape) * dtype.itemsize
        start, length = (_number(messages[_LAYOUT][0], at) for at in (2, 10))
        if size == 0:
            return Dataset(dtype, shape, 0, 0)
        if length != size or start + size > self.size:
            raise UnreadableError("it is truncated or damaged: an array is not all there")
        return Dataset(dtype, shape, start, size)


def _unpack(layout: str, data: bytes, at: int = 0) -> tuple[int, ...]:
    try:
        return struct.unpack_from(layout, data, at)
    except struct.error:
        raise UnreadableError("it is truncated or damaged: something ends early") from None


def _number(data: bytes, at: int) -> int:
    return _unpack("<Q", data, at)[0]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _heap_objects(heap: bytes) -> dict[int, bytes]:
    objects = {}
    at = 16
    while at + 16 <= len(heap):
        index, size = _unpack("<H6xQ", heap, at)
        if index == 0:  # the rest is free
            break
        objects[index] = heap[at + 16 : at + 16 + size]
        at += 16 + size + -size % 8
    return objects


def _shape(space: bytes) -> tuple[int, ...]:
    """Return the sizes in a dataspace message (IV.A.2.b)."""
    version, axes = _unpack("<BB", space)
    if version not in (1, 2) or axes > _MOST_AXES:
        raise UnreadableError("it is damaged: the shape of an array")
    return _unpack(f"<{axes}Q", space, 8 if version == 1 else 4)


def _type(datatype: bytes) -> tuple[int, int, int]:
    """Return class, flags and size in bytes of a datatype message (IV.A.2.d)."""
    head, size = _unpack("<II", datatype)
    return head & 0xF, head >> 8, size


def _dtype(datatype: bytes) -> np.dtype[Any]:
    """Return NumPy's type for plain integers and IEEE floating point numbers."""
    kind, flags, size = _type(datatype)
    order = ">" if flags & 1 else "<"
    offset, precision = _unpack("<HH", datatype, 8) if kind in (_FIXED, _FLOAT) else (0, 0)
    if offset == 0 and precision == 8 * size:
        if kind == _FIXED and size in (1, 2, 4, 8):
            return np.dtype(f"{order}{'i' if flags & 8 else 'u'}{size}")
        if kind == _FLOAT and _unpack("<BBBBI", datatype, 12) == _FLOATS.get(size):
            return np.dtype(f"{order}f{size}")
    raise UnreadableError("an array of it holds no plain numbers")
