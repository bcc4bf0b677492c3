"""What people see while a split is scored: a bar, or plain lines, with images a second."""

import sys
import time
from typing import IO, Protocol

from cnn_jax.training.progress import LINE_EVERY_SECONDS, Kind, duration


class Display(Protocol):
    """Shows one split after the other."""

    def start(self, title: str, images: int) -> None:
        """Begin a split."""

    def advance(self, done: int, images_per_second: float) -> None:
        """Show how many images are scored."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class Silent:
    """Shows nothing."""

    def start(self, title: str, images: int) -> None:
        """Do nothing."""

    def advance(self, done: int, images_per_second: float) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Plain:
    """Writes lines, for a log file or a pipe."""

    def __init__(self, stream: IO[str]) -> None:
        """Write to ``stream``."""
        self._stream, self._title, self._images, self._last = stream, "", 0, 0.0

    def start(self, title: str, images: int) -> None:
        """Remember what is scored; lines come when it takes long, and at the end."""
        self._title, self._images, self._last = title, images, time.monotonic()

    def advance(self, done: int, images_per_second: float) -> None:
        """Write a line if the last one is old enough, or all is done."""
        now = time.monotonic()
        if done < self._images and now - self._last < LINE_EVERY_SECONDS:
            return
        self._last = now
        self._stream.write(
            f"{self._title}: {done:,} of {self._images:,} images, "
            f"{_speed(done, self._images, images_per_second)}\n"
        )
        self._stream.flush()

    def close(self) -> None:
        """Nothing is open."""


class Live:
    """Keeps a bar at the bottom of a terminal."""

    def __init__(self, stream: IO[str]) -> None:
        """Draw on ``stream``, a terminal."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=Console(file=stream),
            transient=True,
            refresh_per_second=4,
        )
        self._task = self._bar.add_task("", numbers="")
        self._images = 0
        self._bar.start()

    def start(self, title: str, images: int) -> None:
        """Start the bar anew."""
        self._images = images
        self._bar.reset(
            self._task, description=title, total=images, completed=0, numbers="compiling"
        )

    def advance(self, done: int, images_per_second: float) -> None:
        """Move the bar."""
        numbers = _speed(done, self._images, images_per_second)
        self._bar.update(self._task, completed=done, numbers=numbers)

    def close(self) -> None:
        """Remove the bar."""
        self._bar.stop()


def make_display(kind: Kind = "auto") -> Display:
    """Return a display on standard error; ``auto`` is ``live`` on a terminal."""
    if kind == "none":
        return Silent()
    live = kind == "live" or (kind == "auto" and sys.stderr.isatty())
    return Live(sys.stderr) if live else Plain(sys.stderr)


def _speed(done: int, images: int, images_per_second: float) -> str:
    left = duration((images - done) / images_per_second)
    return f"{images_per_second:,.0f} images/s" + (
        f", {left} left" if done < images else ""
    )
