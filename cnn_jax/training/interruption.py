"""Stop between two steps, saved, so that the same command goes on.

A scheduler warns by a signal before it kills: SIGTERM (SLURM, systemd, Kubernetes), or
SIGUSR1 where the job asked for an early one (``sbatch --signal=USR1@120``). The handlers
only note it; the loop asks at each step boundary, saves and raises ``Interrupted``. The
command then exits with 75, EX_TEMPFAIL of ``sysexits.h``: "try again later". SLURM's
scripts can requeue on it (``docs/slurm/train.sbatch``), systemd restarts on it with
``RestartForceExitStatus=75``.

Several processes must stop at the same step, or those that go on wait for ever in the
next all-reduce: ``hosts.one_reason`` makes them agree.
"""

import contextlib
import enum
import re
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Self

from cnn_jax.errors import UserError

EXIT_SAVED = 75
"""Exit code: saved, not finished; the same command goes on."""

EXIT_CTRL_C = 130
"""Exit code of shells for a command that SIGINT ended: 128 + 2."""


class Reason(enum.StrEnum):
    """Why a run is to stop; where processes differ, the later one here counts."""

    STOP_AFTER = "--stop-after"
    TIME_LIMIT = "the time limit"
    SIGUSR1 = "SIGUSR1"
    SIGTERM = "SIGTERM"
    CTRL_C = "Ctrl-C"

    @property
    def code(self) -> int:
        """A number above 0; the larger one counts more."""
        return list(Reason).index(self) + 1


_SIGNALS: Mapping[int, Reason] = {
    getattr(signal, name): reason  # Windows has no SIGUSR1
    for name, reason in (
        ("SIGINT", Reason.CTRL_C),
        ("SIGTERM", Reason.SIGTERM),
        ("SIGUSR1", Reason.SIGUSR1),
    )
    if hasattr(signal, name)
}


class Interrupted(BaseException):
    """The run stopped as it was asked to; its checkpoint is complete.

    Like ``KeyboardInterrupt`` it is no error: ``except Exception`` lets it pass.

    Attributes:
        reason: why.
        step: of the checkpoint.
        exit_code: of the command.
    """

    def __init__(self, reason: str, step: int) -> None:
        """Raise it after ``Checkpoints.wait()`` has returned, never before.

        Args:
            reason: a :class:`Reason`, or another in words.
            step: of the checkpoint.
        """
        super().__init__(
            f"stopped at step {step:,} ({reason}), saved; the same command goes on"
        )
        self.reason = reason
        self.step = step
        self.exit_code = EXIT_CTRL_C if reason == Reason.CTRL_C else EXIT_SAVED


class Interruption:
    """Notes the signals that ask to stop, while it is entered.

    SIGTERM and SIGUSR1 are always only noted. Ctrl-C ends the program at once, as usual,
    but within :meth:`between_steps`, where the first one is noted and the second ends it.

    What the parent process told this one to ignore stays ignored (Ctrl-C of a background
    job). It may be entered again inside. In another thread than the main one, where Python
    allows no handlers, it does nothing.
    Enter it after ``jax.distributed.initialize``, whose preemption service takes SIGTERM
    for itself.
    """

    def __init__(self) -> None:
        """Nothing is noted yet."""
        self._reason: Reason | None = None
        self._between_steps = False
        self._former: dict[int, Any] = {}
        self._depth = 0

    @property
    def requested(self) -> Reason | None:
        """Why to stop at the next step boundary; None to go on."""
        return self._reason

    def __enter__(self) -> Self:
        self._depth += 1
        main = threading.current_thread() is threading.main_thread()
        if self._depth == 1 and main:
            for number in _SIGNALS:
                if number == signal.SIGINT and signal.getsignal(number) == signal.SIG_IGN:
                    continue  # a shell's background job: Ctrl-C is for another program
                self._former[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth:
            return
        for number, handler in self._former.items():
            # None: it was not installed by Python, and can't be by it.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._former = {}

    @contextlib.contextmanager
    def between_steps(self) -> Iterator[None]:
        """Promise that the body asks at each step boundary."""
        self._between_steps = True
        try:
            yield
        finally:
            self._between_steps = False

    def _note(self, number: int, _: FrameType | None) -> None:
        reason = _SIGNALS[number]
        again = self._reason is Reason.CTRL_C
        if reason is Reason.CTRL_C and (again or not self._between_steps):
            raise KeyboardInterrupt
        self._reason = agreed(r.code for r in (reason, self._reason) if r is not None)


@dataclass(frozen=True, kw_only=True)
class StopConditions:
    """When a command stops before its runs are finished.

    Attributes:
        interruption: signals; None for none.
        stop_after: steps that this command takes at most, over all its runs. A dispatch of
            several steps is not cut: it stops at the first boundary at or after them.
        time_limit: seconds from ``began``; saving comes on top, so leave room for it.
        began: as by ``time.monotonic``; by default when this was made.

    Raises:
        UserError: a limit that is not above 0.
    """

    interruption: Interruption | None = None
    stop_after: int | None = None
    time_limit: float | None = None
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.stop_after is not None and self.stop_after < 1:
            raise UserError(f"--stop-after {self.stop_after}: at least 1 step is needed")
        if self.time_limit is not None and not self.time_limit > 0:
            raise UserError(f"--time-limit {self.time_limit}: more than 0 s is needed")

    def reason_to_stop(self, executed: int, now: float) -> Reason | None:
        """Return why to stop at this step boundary; None to go on.

        Args:
            executed: steps that this command has taken so far, over all its runs.
            now: as by ``time.monotonic``.
        """
        noted = self.interruption.requested if self.interruption is not None else None
        if noted is not None:
            return noted
        if self.time_limit is not None and now - self.began >= self.time_limit:
            return Reason.TIME_LIMIT
        if self.stop_after is not None and executed >= self.stop_after:
            return Reason.STOP_AFTER
        return None


def agreed(codes: Iterable[int]) -> Reason | None:
    """Return the reason that counts most; None if there is none.

    Args:
        codes: in any order: ``reason.code``, or 0 for none.
    """
    largest = max((int(code) for code in codes), default=0)
    return list(Reason)[largest - 1] if largest else None


_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_WITH_UNITS = re.compile("".join(f"(?:({_NUMBER}){unit})?" for unit in _UNITS))
_CLOCK = re.compile(r"(?:([0-9]+)-)?([0-9]+):([0-5][0-9]):([0-5][0-9])")


def parse_duration(text: str) -> float:
    """Return the seconds that ``text`` means.

    Args:
        text: ``3h``, ``90m``, ``1h30m``, ``2d``, ``3600`` or ``3600s``, ``1:30:00`` or
            ``2-12:00:00``, SLURM's days-hours:minutes:seconds.

    Raises:
        UserError: it is none of these, or 0. ``1:30`` is refused, because SLURM means
            minutes and seconds by it and people hours and minutes.
    """
    compact = text.strip().lower()
    if re.fullmatch(_NUMBER, compact):
        seconds = float(compact)
    elif match := _CLOCK.fullmatch(compact):
        days, hours, minutes, rest = (int(part or 0) for part in match.groups())
        seconds = days * 86_400.0 + hours * 3_600 + minutes * 60 + rest
    elif compact and (match := _WITH_UNITS.fullmatch(compact)):
        parts = zip(match.groups(), _UNITS.values(), strict=True)
        seconds = sum(float(number or 0) * unit for number, unit in parts)
    else:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UserError(
            f"{text!r} is no time above 0; write 3h, 90m, 1h30m, 2d, 1:30:00 (hours, "
            f"minutes, seconds), 2-12:00:00 (days first) or 3600 (seconds)"
        )
    return seconds
