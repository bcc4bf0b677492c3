"""Read the Python batches of CIFAR-10 and CIFAR-100 with a machine that can build no more.

A pickle is a program for a stack machine; Python's own runs whatever function the program
names. This one knows the instructions that these files have, imports nothing, and all that
it makes are dicts, lists, tuples, numbers, strings and arrays of uint8.

Source: Python, ``Lib/pickletools.py`` (the instructions); A. Krizhevsky, "The CIFAR-10
    dataset" (the files: dicts that Python 2 pickled with protocol 2); NumPy,
    ``ndarray.__reduce__`` (how an array is pickled: ``_reconstruct``, then a state of
    version, shape, type, order and bytes).
"""

import struct
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

RECONSTRUCT = "numpy.core.multiarray _reconstruct"
ALLOWED = (RECONSTRUCT, "numpy._core.multiarray _reconstruct", "numpy ndarray")
DTYPE, ENCODE = "numpy dtype", "_codecs encode"


class UnreadableError(Exception):
    """A pickle that is damaged, or wants more than a batch needs; the message says what."""


class _Global(str):
    """A name that the pickle asks for."""


class _Array:
    """An array before and after it gets its state."""

    value: np.ndarray | None = None


class _Dtype:
    """The type of an array; only uint8 is one."""


def load_batch(content: bytes) -> Any:
    """Return what a pickled batch describes; its strings are ``bytes``, its arrays uint8.

    Raises:
        UnreadableError: it is truncated or damaged, or it has a name, an instruction or a
            type that no such file needs; nothing was executed.
    """
    try:
        return _finished(_Machine(content).run())
    except (IndexError, KeyError, ValueError, TypeError, RecursionError, struct.error):
        raise UnreadableError("its pickle is truncated or damaged") from None


def _finished(value: Any) -> Any:
    """Put the arrays in the place of what stood for them."""
    if isinstance(value, _Array):
        if value.value is None:
            raise ValueError
        return value.value
    if type(value) is dict:
        return {key: _finished(item) for key, item in value.items()}
    if type(value) in (bytes, str, int, float, bool, list, tuple, type(None)):
        return value
    raise UnreadableError("its pickle holds what no batch does")


class _Machine:
    """The stack, the marks in it, and the objects that the pickle numbered."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        while (code := self.take(1)) != b".":
            if code not in _INSTRUCTIONS:
                raise UnreadableError(
                    f"its pickle has the instruction {code!r}, which no batch needs;"
                    " refused, and nothing was executed"
                )
            _INSTRUCTIONS[code](self)
        return self._stack.pop()

    def take(self, count: int) -> bytes:
        taken = self._content[self._position : self._position + count]
        if count < 0 or len(taken) < count:
            raise ValueError
        self._position += count
        return taken

    def number(self, layout: str) -> int:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def line(self) -> str:
        end = self._content.index(b"\n", self._position)
        return self.take(end + 1 - self._position)[:-1].decode("latin-1")

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self, count: int) -> tuple[Any, ...]:
        if len(self._stack) < count:
            raise ValueError
        taken = tuple(self._stack[len(self._stack) - count :])
        del self._stack[len(self._stack) - count :]
        return taken

    def pop_to_mark(self) -> tuple[Any, ...]:
        return self.pop(len(self._stack) - self._marks.pop())

    def remember(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def look_up(self, name: str) -> None:
        """Push a name if it is allowed; nothing is imported."""
        if name not in (*ALLOWED, DTYPE, ENCODE):
            raise UnreadableError(
                f"its pickle asks for {name}, which no batch needs; refused, and nothing"
                " was executed"
            )
        self.push(_Global(name))

    def call(self) -> None:
        function, arguments = self.pop(2)
        if function.__class__ is not _Global or type(arguments) is not tuple:
            raise ValueError
        if function == ENCODE:  # bytes, as Python 3 writes them for Python 2
            text, codec = arguments
            if codec != "latin1":
                raise ValueError
            self.push(text.encode("latin-1"))
        elif function == DTYPE:
            if arguments[0] not in ("u1", b"u1"):
                raise UnreadableError(f"its array is of type {arguments[0]!r}, not uint8")
            self.push(_Dtype())
        elif "_reconstruct" in function:
            self.push(_Array())
        else:
            raise ValueError

    def build(self) -> None:
        """Give an array its state; that of a type says only that it is what it is."""
        (state,) = self.pop(1)
        target = self._stack[-1]
        if isinstance(target, _Dtype):
            return
        _, shape, dtype, fortran, content = state
        sizes = [size for size in shape if type(size) is int and size >= 0]
        if not (isinstance(target, _Array) and isinstance(dtype, _Dtype)) or (
            len(sizes) < len(shape) or prod(sizes) != len(content)
        ):
            raise ValueError
        flat = np.frombuffer(content, np.uint8)
        target.value = flat.reshape(sizes[::-1]).T if fortran else flat.reshape(sizes)

    def append(self, values: tuple[Any, ...]) -> None:
        if type(self._stack[-1]) is not list:
            raise ValueError
        self._stack[-1].extend(values)

    def set_items(self, values: tuple[Any, ...]) -> None:
        target, keys = self._stack[-1], values[::2]
        # A key of another type may take forever to hash.
        if type(target) is not dict or not all(type(key) in (bytes, str) for key in keys):
            raise ValueError
        named = (key if type(key) is bytes else key.encode() for key in keys)
        target.update(zip(named, values[1::2], strict=True))


_INSTRUCTIONS: Mapping[bytes, Callable[[_Machine], object]] = {
    b"\x80": lambda m: m.take(1),  # PROTO
    b"\x95": lambda m: m.take(8),  # FRAME: a hint for reading ahead
    b"(": lambda m: m._marks.append(len(m._stack)),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"J": lambda m: m.push(m.number("<i")),
    b"X": lambda m: m.push(m.take(m.number("<I")).decode()),
    b"\x8c": lambda m: m.push(m.take(m.number("<B")).decode()),
    b"U": lambda m: m.push(m.take(m.number("<B"))),  # Python 2's strings
    b"T": lambda m: m.push(m.take(m.number("<i"))),
    b"C": lambda m: m.push(m.take(m.number("<B"))),
    b"B": lambda m: m.push(m.take(m.number("<I"))),
    b")": lambda m: m.push(()),
    b"\x85": lambda m: m.push(m.pop(1)),
    b"\x86": lambda m: m.push(m.pop(2)),
    b"\x87": lambda m: m.push(m.pop(3)),
    b"t": lambda m: m.push(m.pop_to_mark()),
    b"]": lambda m: m.push([]),
    b"a": lambda m: m.append(m.pop(1)),
    b"e": lambda m: m.append(m.pop_to_mark()),
    b"}": lambda m: m.push({}),
    b"s": lambda m: m.set_items(m.pop(2)),
    b"u": lambda m: m.set_items(m.pop_to_mark()),
    b"q": lambda m: m.remember(m.number("<B")),
    b"r": lambda m: m.remember(m.number("<I")),
    b"\x94": lambda m: m.remember(len(m._memo)),
    b"h": lambda m: m.push(m._memo[m.number("<B")]),
    b"j": lambda m: m.push(m._memo[m.number("<I")]),
    b"c": lambda m: m.look_up(f"{m.line()} {m.line()}"),
    b"\x93": lambda m: m.look_up(" ".join(m.pop(2))),
    b"R": lambda m: m.call(),
    b"b": lambda m: m.build(),
}
