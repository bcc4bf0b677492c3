"""What people see while a network trains: a live bar, or plain lines."""

import math
import sys
import time
from collections.abc import Mapping
from typing import IO, Any, Literal, Protocol

Kind = Literal["auto", "live", "plain", "none"]

LINE_EVERY_SECONDS = 5.0
"""Plain output prints at most one line in this time, besides the starts and ends."""


class Progress(Protocol):
    """Shows one run after the other."""

    def start(self, title: str, total_steps: int, resumed_at_step: int) -> None:
        """Begin a run."""

    def step(
        self,
        step: int,
        epoch: float,
        loss: float,
        images_per_second: float,
        waiting: float | None = None,
    ) -> None:
        """Show where the run is.

        Args:
            step: steps done.
            epoch: epochs done.
            loss: in nats.
            images_per_second: training speed.
            waiting: part of the time in which the devices waited for data; None where it
                lies on them.
        """

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Show the row of a finished epoch (as in ``metrics.jsonl``)."""

    def finish(self, line: str) -> None:
        """End a run with what came out of it."""

    def note(self, line: str) -> None:
        """Say something that stays on the screen."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class Silent:
    """Shows nothing."""

    def start(self, title: str, total_steps: int, resumed_at_step: int) -> None:
        """Do nothing."""

    def step(
        self,
        step: int,
        epoch: float,
        loss: float,
        images_per_second: float,
        waiting: float | None = None,
    ) -> None:
        """Do nothing."""

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Do nothing."""

    def finish(self, line: str) -> None:
        """Do nothing."""

    def note(self, line: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class _Clock:
    """Estimates the time left of one run, and of a series of equal runs."""

    def __init__(self, runs: int) -> None:
        self._runs_left = runs
        self._run_seconds: list[float] = []
        self.begin(1)

    def begin(self, total_steps: int) -> None:
        self._began, self._total = time.monotonic(), total_steps
        self._seen: tuple[float, int] | None = None

    def end(self) -> None:
        self._run_seconds.append(time.monotonic() - self._began)
        self._runs_left -= 1

    def left(self, step: int) -> float:
        """Return seconds until the last run ends, judged by the steps and runs so far.

        The first look only starts the clock: what came before it was compilation.
        """
        now = time.monotonic()
        if self._seen is None or step <= self._seen[1]:
            self._seen = self._seen or (now, step)
            return math.nan
        each_step = (now - self._seen[0]) / (step - self._seen[1])
        waiting = max(self._runs_left - 1, 0)
        each_run = each_step * self._total
        if self._run_seconds:
            each_run = sum(self._run_seconds) / len(self._run_seconds)
        return each_step * (self._total - step) + waiting * each_run


def duration(seconds: float) -> str:
    """Return ``m:ss``, or ``h:mm:ss`` from an hour on; ``?`` if not known."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Plain:
    """Writes lines, for a log file or a pipe."""

    def __init__(self, stream: IO[str], *, runs: int = 1) -> None:
        """Write to ``stream``; ``runs`` is how many will come, for the time left."""
        self._stream, self._clock, self._last = stream, _Clock(runs), 0.0
        self._title, self._validation = "", math.nan

    def start(self, title: str, total_steps: int, resumed_at_step: int) -> None:
        """Name the run."""
        self._title, self._validation = title, math.nan
        self._clock.begin(total_steps)
        if resumed_at_step:
            self.note(f"{title}: resumed_at_step {resumed_at_step} of {total_steps}")
        self._last = time.monotonic()

    def step(
        self,
        step: int,
        epoch: float,
        loss: float,
        images_per_second: float,
        waiting: float | None = None,
    ) -> None:
        """Write a line if the last one is old enough."""
        left = duration(self._clock.left(step))
        if time.monotonic() - self._last < LINE_EVERY_SECONDS:
            return
        self._last = time.monotonic()
        numbers = self._numbers(epoch, loss, images_per_second, waiting)
        self.note(f"{self._title}: {numbers}, {left} left")

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Remember the validation error."""
        self._validation = row["validation_error"]
        speed, waiting = row["images_per_second"], row.get("waiting_fraction")
        self.step(row["step"], row["epoch"], row["train_loss"], speed, waiting)

    def finish(self, line: str) -> None:
        """Write what came out."""
        self._clock.end()
        self.note(f"{self._title}: {line}")

    def note(self, line: str) -> None:
        """Write a line."""
        self._stream.write(line + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Nothing is open."""

    def _numbers(
        self, epoch: float, loss: float, images_per_second: float, waiting: float | None
    ) -> str:
        validation = (
            f", validation error {self._validation:.2%}"
            if math.isfinite(self._validation)
            else ""
        )
        speed = f"{images_per_second:,.0f} images/s"
        if waiting is not None:
            speed += f", {waiting:.0%} waiting for data"
        return f"epoch {epoch:.1f}, loss {loss:.3f}{validation}, {speed}"


class Live(Plain):
    """Keeps a bar at the bottom of a terminal; results scroll past above it."""

    def __init__(self, stream: IO[str], *, runs: int = 1) -> None:
        """Draw on ``stream``, a terminal."""
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as RichProgress

        super().__init__(stream, runs=runs)
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=Console(file=stream),
            transient=True,
            refresh_per_second=4,
        )
        self._task = self._bar.add_task("", numbers="")
        self._bar.start()

    def start(self, title: str, total_steps: int, resumed_at_step: int) -> None:
        """Start the bar anew."""
        super().start(title, total_steps, resumed_at_step)
        self._bar.reset(
            self._task,
            description=title,
            total=total_steps,
            completed=resumed_at_step,
            numbers="compiling",
        )

    def step(
        self,
        step: int,
        epoch: float,
        loss: float,
        images_per_second: float,
        waiting: float | None = None,
    ) -> None:
        """Move the bar."""
        numbers = self._numbers(epoch, loss, images_per_second, waiting)
        left = duration(self._clock.left(step))
        self._bar.update(self._task, completed=step, numbers=f"{numbers}, {left} left")

    def note(self, line: str) -> None:
        """Print above the bar."""
        self._bar.console.print(line, markup=False, highlight=False)

    def close(self) -> None:
        """Remove the bar."""
        self._bar.stop()


def make_progress(kind: Kind = "auto", *, runs: int = 1) -> Progress:
    """Return a display on standard error.

    Args:
        kind: ``auto`` is ``live`` on a terminal and ``plain`` elsewhere.
        runs: how many runs will be shown, for the time left.
    """
    if kind == "none":
        return Silent()
    stream = sys.stderr
    live = kind == "live" or (kind == "auto" and stream.isatty())
    return Live(stream, runs=runs) if live else Plain(stream, runs=runs)
