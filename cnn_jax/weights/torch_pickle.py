"""Read the pickles of ``torch.save`` with a machine that can only build tensors.

A pickle is a program for a stack machine; Python's own runs whatever function the program
names. This machine knows the instructions that ``torch.save`` writes and nothing else. It
imports nothing, and all that it calls are the functions of ``torch_tensors.CALLS``, which
make plain data.

Own machine instead of ``pickle.Unpickler`` with an own ``find_class``: that one still lets
a file choose keys that take forever to hash, numbers that reserve gigabytes, and states for
``__setstate__``.

Source: Python, ``Lib/pickletools.py`` (the instructions); PyTorch 2.13,
    ``torch/_weights_only_unpickler.py`` (which of them a file of tensors needs).
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cnn_jax.weights.torch_tensors import (
    CALLS,
    NAMES,
    Global,
    Storage,
    UnreadableError,
    set_item,
    shown,
    storage_of,
)

MAX_BYTES = 1 << 22
"""Longest pickle that is read: 20,000 tensors; their numbers stand elsewhere."""


class Pickle(NamedTuple):
    """What one pickle describes.

    Attributes:
        value: numbers, strings, lists, dicts, ``Tensor``s.
        storages: all that it refers to, by key.
        length: of the pickle, in bytes.
    """

    value: Any
    storages: dict[str, Storage]
    length: int


def load_pickle(content: bytes) -> Pickle:
    """Return what one pickle describes.

    Dicts of every kind become ``dict``; what ``torch.save`` keeps beside the tensors
    (``_metadata``, ``requires_grad``, hooks) is dropped.

    Args:
        content: begins with the pickle; it may go on behind it.

    Raises:
        UnreadableError: it is too long, truncated or damaged, it asks for a name or has an
            instruction that no file of tensors needs.
    """
    machine = _Machine(content[:MAX_BYTES])
    return Pickle(machine.run(), machine.storages, machine.position)


class _Machine:
    """The stack, the marks in it, and the objects that the pickle numbered."""

    def __init__(self, content: bytes) -> None:
        self.position = 0
        self.storages: dict[str, Storage] = {}
        self._content = content
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        while (code := self.take(1)) != b".":
            instruction = _INSTRUCTIONS.get(code)
            if instruction is None:
                raise UnreadableError(
                    f"its pickle has the instruction {code!r} at byte {self.position - 1}, "
                    "which no file of tensors needs; refused, and nothing was executed"
                )
            instruction(self)
        return self.pop()

    def take(self, count: int) -> bytes:
        taken = self._content[self.position : self.position + count]
        if len(taken) < count:
            raise self._truncated()
        self.position += count
        return taken

    def line(self) -> str:
        end = self._content.find(b"\n", self.position)
        if end < 0:
            raise self._truncated()
        line = self.take(end + 1 - self.position)
        return line[:-1].decode("utf-8", "backslashreplace")

    def number(self, layout: str) -> int:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def text(self, layout: str) -> str:
        try:
            return self.take(self.number(layout)).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise UnreadableError("its pickle is damaged: a string is no text") from None

    def long(self) -> int:
        return int.from_bytes(self.take(self.number("<B")), "little", signed=True)

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self) -> Any:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise UnreadableError("its pickle is damaged: it takes from an empty stack")
        return self._stack.pop()

    def pop_some(self, count: int) -> tuple[Any, ...]:
        return tuple(self.pop() for _ in range(count))[::-1]

    def mark(self) -> None:
        self._marks.append(len(self._stack))

    def pop_to_mark(self) -> tuple[Any, ...]:
        if not self._marks:
            raise UnreadableError("its pickle is damaged: a mark is missing")
        mark = self._marks.pop()
        values = tuple(self._stack[mark:])
        del self._stack[mark:]
        return values

    def remember(self, index: int) -> None:
        self._memo[index] = self.pop()
        self.push(self._memo[index])

    def memoize(self) -> None:
        self.remember(len(self._memo))

    def recall(self, index: int) -> None:
        if index not in self._memo:
            raise UnreadableError("its pickle is damaged: it recalls what it never had")
        self.push(self._memo[index])

    def look_up(self, module: Any, name: Any) -> None:
        """Push a name if it is allowed; nothing is imported."""
        if type(module) is not str or type(name) is not str:
            raise UnreadableError("its pickle is damaged: it asks for what is no name")
        found = Global(module, name)
        if found not in CALLS and found not in NAMES:
            raise UnreadableError(
                f"its pickle asks for {found}, which is no part of a tensor; refused, and "
                "nothing was executed"
            )
        self.push(found)

    def call(self) -> None:
        function, arguments = self.pop_some(2)
        if type(function) is not Global or function not in CALLS:
            raise UnreadableError("its pickle is refused: it calls what is no function")
        if type(arguments) is not tuple:
            raise UnreadableError("its pickle is damaged: a function's arguments")
        try:
            self.push(CALLS[function](*arguments))
        except (TypeError, ValueError):
            raise UnreadableError(
                f"its pickle is damaged: the arguments of {function}"
            ) from None

    def drop_state(self) -> None:
        """Drop the attributes of an OrderedDict; ``state_dict`` has ``_metadata`` there."""
        target, _state = self.pop_some(2)
        if type(target) is not dict:
            raise UnreadableError(
                f"its pickle is refused: it sets the state of a {type(target).__name__}"
            )
        self.push(target)

    def refer(self) -> None:
        storage = storage_of(self.pop())
        if self.storages.setdefault(storage.key, storage) != storage:
            raise UnreadableError(
                f"its pickle is damaged: two sizes or types of storage {shown(storage.key)}"
            )
        self.push(storage)

    def append(self, values: tuple[Any, ...]) -> None:
        target = self.pop()
        if type(target) is not list:
            raise UnreadableError("its pickle is damaged: it appends to what is no list")
        target.extend(values)
        self.push(target)

    def set_items(self, values: tuple[Any, ...]) -> None:
        target = self.pop()
        if type(target) is not dict or len(values) % 2:
            raise UnreadableError("its pickle is damaged: it sets items of what is no dict")
        for key, value in zip(values[::2], values[1::2], strict=True):
            set_item(target, key, value)
        self.push(target)

    def _truncated(self) -> UnreadableError:
        if len(self._content) == MAX_BYTES:
            return UnreadableError(f"its pickle is longer than {MAX_BYTES} bytes")
        return UnreadableError("it is truncated: its pickle has no end")


_INSTRUCTIONS: Mapping[bytes, Callable[[_Machine], object]] = {
    b"\x80": lambda m: m.take(1),  # PROTO
    b"\x95": lambda m: m.take(8),  # FRAME: a hint for reading ahead
    b"(": _Machine.mark,
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"J": lambda m: m.push(m.number("<i")),
    b"\x8a": lambda m: m.push(m.long()),
    b"G": lambda m: m.push(m.number(">d")),
    b"X": lambda m: m.push(m.text("<I")),
    b"\x8c": lambda m: m.push(m.text("<B")),
    b"U": lambda m: m.push(m.text("<B")),  # Python 2's strings
    b"T": lambda m: m.push(m.text("<I")),
    b"C": lambda m: m.push(m.take(m.number("<B"))),
    b"B": lambda m: m.push(m.take(m.number("<I"))),
    b")": lambda m: m.push(()),
    b"\x85": lambda m: m.push(m.pop_some(1)),
    b"\x86": lambda m: m.push(m.pop_some(2)),
    b"\x87": lambda m: m.push(m.pop_some(3)),
    b"t": lambda m: m.push(m.pop_to_mark()),
    b"]": lambda m: m.push([]),
    b"a": lambda m: m.append(m.pop_some(1)),
    b"e": lambda m: m.append(m.pop_to_mark()),
    b"}": lambda m: m.push({}),
    b"s": lambda m: m.set_items(m.pop_some(2)),
    b"u": lambda m: m.set_items(m.pop_to_mark()),
    b"q": lambda m: m.remember(m.number("<B")),
    b"r": lambda m: m.remember(m.number("<I")),
    b"\x94": _Machine.memoize,
    b"h": lambda m: m.recall(m.number("<B")),
    b"j": lambda m: m.recall(m.number("<I")),
    b"c": lambda m: m.look_up(m.line(), m.line()),
    b"i": lambda m: m.look_up(m.line(), m.line()),  # INST: only to say what it asks for
    b"\x93": lambda m: m.look_up(*m.pop_some(2)),
    b"Q": _Machine.refer,
    b"R": _Machine.call,
    b"b": _Machine.drop_state,
}
