"""Where two descriptions of experiments differ, for people."""

from typing import Any


def first_difference(first: Any, second: Any, where: str = "") -> str | None:
    """Return the first place where two JSON values differ, as ``path: a is not b``."""
    if isinstance(first, dict) and isinstance(second, dict):
        for key in sorted({*first, *second}):
            inner = where if key == "fields" else f"{where}.{key}".lstrip(".")
            found = first_difference(first.get(key), second.get(key), inner)
            if found:
                return found
        return None
    if isinstance(first, list) and isinstance(second, list):
        if len(first) != len(second):
            return f"{where} has {len(first)} entries there, {len(second)} here"
        for i, (a, b) in enumerate(zip(first, second, strict=True)):
            found = first_difference(a, b, f"{where}[{i}]")
            if found:
                return found
        return None
    return (
        None
        if first == second
        else f"{where}: {_short(first)} there, {_short(second)} here"
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
