"""Where the numbers of a run go: ``metrics.jsonl``, and TensorBoard files made from it.

The rows are the truth. A resumed run first drops the rows after its checkpoint (and a
half-written last line), so that there is never a gap nor a duplicate.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

Row = Mapping[str, Any]


class Writer(Protocol):
    """Takes one row of numbers for each epoch."""

    def write(self, row: Row) -> None:
        """Store a row durably."""

    def close(self) -> None:
        """Finish."""


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a ``metrics.jsonl``; a half-written last line does not count."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines[:-1]]


class JsonLines:
    """Appends one JSON object a line, flushed to the disk before ``write`` returns."""

    def __init__(self, path: Path, *, up_to_step: int) -> None:
        """Open ``path`` and keep only its rows up to and including ``up_to_step``."""
        self._file = path.open("a+b")
        self._file.seek(0)
        self.rows: list[dict[str, Any]] = []
        kept = 0
        for line in self._file:
            row = json.loads(line) if line.endswith(b"\n") else None
            if row is None or row["step"] > up_to_step:
                break
            self.rows.append(row)
            kept += len(line)
        # What is dropped is the end of the file: one cut, so a kill loses no other row.
        self._file.truncate(kept)
        self._sync()

    def write(self, row: Row) -> None:
        """Append a row; a value that is not finite becomes null."""
        clean = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in row.items()
        }
        self.rows.append(clean)
        self._file.write(json.dumps(clean).encode() + b"\n")
        self._sync()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


class TensorBoard:
    """Writes scalars for TensorBoard; an earlier attempt's files are replaced."""

    def __init__(self, directory: Path, *, rows: list[dict[str, Any]]) -> None:
        """Start a file in ``directory`` that repeats the ``rows`` so far."""
        from tensorboardX.event_file_writer import EventsWriter

        directory.mkdir(exist_ok=True)
        for old in directory.glob("events.out.tfevents.*"):
            old.unlink()
        # The plain writer: the usual one writes from a thread, where a full disk would
        # end in a traceback of its own.
        self._events = EventsWriter(str(directory / "events"))
        for row in rows:
            self.write(row)

    def write(self, row: Row) -> None:
        """Write each number of ``row`` as a scalar at the row's step."""
        import time

        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        values = [
            Summary.Value(tag=key, simple_value=float(value))
            for key, value in row.items()
            if key != "step" and isinstance(value, int | float)
        ]
        event = Event(
            step=row["step"], summary=Summary(value=values), wall_time=time.time()
        )
        self._events.write_event(event)
        self._events.flush()

    def close(self) -> None:
        """Close the file."""
        self._events.close()
