"""What people see while something is prepared or fetched: a bar, or plain lines."""

import sys
import time
from types import TracebackType
from typing import IO, Any, Self

from cnn_jax.training.progress import LINE_EVERY_SECONDS, Kind


class WorkDisplay:
    """Shows how much of a piece of work is done; it is called with the numbers.

    Used as a context manager, it leaves the terminal as it was.
    """

    def __init__(self, kind: Kind = "auto", *, of: str = "") -> None:
        """Show on standard error.

        Args:
            kind: ``auto`` is ``live`` on a terminal and ``plain`` elsewhere.
            of: what is counted; ``"bytes"`` for sizes as people read them.
        """
        self._of, self._last, self._what = of, 0.0, ""
        self._stream: IO[str] | None = None if kind == "none" else sys.stderr
        self._bar: Any = None
        if kind == "live" or (kind == "auto" and sys.stderr.isatty()):
            self._bar = _bar(of)
            self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Self:
        """Begin to draw."""
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, total: int | None, what: str) -> None:
        """Show where the work is; plain lines come every few seconds, and at changes."""
        if self._bar is not None:
            if what != self._what:
                self._bar.reset(self._task)
            self._bar.update(self._task, completed=done, total=total, description=what)
        elif self._stream is not None:
            now = time.monotonic()
            if what != self._what or now - self._last >= LINE_EVERY_SECONDS:
                self._last = now
                self._stream.write(f"{what}{self._numbers(done, total)}\n")
                self._stream.flush()
        self._what = what

    def _numbers(self, done: int, total: int | None) -> str:
        if total is None:
            return ""
        counted = f" {self._of}" if self._of else ""
        return f": {done:,} of {total:,}{counted}"


def _bar(of: str) -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    counted = of == "bytes"
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        *(
            (DownloadColumn(), TransferSpeedColumn())
            if counted
            else (MofNCompleteColumn(),)
        ),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        transient=True,
        refresh_per_second=4,
    )
