import os
import signal
import subprocess
import sys
import threading
import time
from itertools import permutations
from pathlib import Path

import pytest

from cnn_jax.errors import UserError
from cnn_jax.training.interruption import (
    Interrupted,
    Interruption,
    Reason,
    StopConditions,
    agreed,
    parse_duration,
)

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


@pytest.fixture(autouse=True)
def _ctrl_c_is_not_ignored():
    """As in a terminal, also where the tests are a background job."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


def test_what_the_parent_process_ignores_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interruption() as interruption, interruption.between_steps():
        send(signal.SIGINT)
        assert interruption.requested is None
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def send(number):
    os.kill(os.getpid(), number)
    time.sleep(0)  # Python runs handlers between two instructions


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_and_the_former_handler_comes_back(number):
    seen = []
    former = signal.signal(number, lambda *_: seen.append(number))
    try:
        with Interruption() as interruption:
            assert interruption.requested is None
            send(number)
            assert interruption.requested == signal.Signals(number).name
        assert seen == []
        send(number)
        assert seen == [number]
    finally:
        signal.signal(number, former)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_handlers_come_back_after_an_error():
    before = [signal.getsignal(number) for number in (*SIGNALS, signal.SIGINT)]
    with pytest.raises(KeyError), Interruption():
        raise KeyError
    assert [signal.getsignal(n) for n in (*SIGNALS, signal.SIGINT)] == before


def test_ctrl_c_ends_at_once_but_between_steps_it_asks_first():
    with Interruption() as interruption:
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
        assert interruption.requested is None
        with interruption.between_steps():
            send(signal.SIGINT)
            assert interruption.requested is Reason.CTRL_C
            with pytest.raises(KeyboardInterrupt):
                send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_ctrl_c_stays_ignored_where_it_was():
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption() as interruption, interruption.between_steps():
            send(signal.SIGINT)
            assert interruption.requested is None
    finally:
        signal.signal(signal.SIGINT, former)


def test_in_another_thread_it_does_nothing():
    found = []

    def enter():
        with Interruption() as interruption:
            found.append((interruption.requested, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [(None, signal.SIG_DFL)]


def test_the_strongest_of_several_signals_is_told():
    with Interruption() as interruption:
        send(signal.SIGTERM)
        send(signal.SIGUSR1)
        assert interruption.requested is Reason.SIGTERM


def test_all_processes_take_the_same_reason_whatever_their_order():
    codes = [0, Reason.SIGTERM.code, Reason.STOP_AFTER.code, 0]
    assert {agreed(order) for order in permutations(codes)} == {Reason.SIGTERM}
    assert agreed([0, 0]) is None
    assert agreed([]) is None
    for reason in Reason:
        assert agreed([0, reason.code]) is reason
    assert min(reason.code for reason in Reason) == 1


def test_steps_are_counted_and_time_is_measured_from_the_beginning():
    never = StopConditions()
    assert never.reason_to_stop(10**9, time.monotonic() + 10**9) is None
    conditions = StopConditions(stop_after=100, time_limit=60.0, began=1000.0)
    asked = [(99, 1059.9), (100, 1059.9), (101, 1000.0), (0, 1060.0), (100, 1060.0)]
    assert [conditions.reason_to_stop(*each) for each in asked] == [
        None,
        Reason.STOP_AFTER,
        Reason.STOP_AFTER,
        Reason.TIME_LIMIT,
        Reason.TIME_LIMIT,
    ]
    assert abs(StopConditions(time_limit=1).began - time.monotonic()) < 10


def test_a_signal_comes_before_the_limits():
    with Interruption() as interruption:
        conditions = StopConditions(interruption=interruption, stop_after=1, time_limit=1)
        assert conditions.reason_to_stop(0, conditions.began) is None
        send(signal.SIGUSR1)
        assert conditions.reason_to_stop(5, conditions.began + 5) is Reason.SIGUSR1


@pytest.mark.parametrize("limits", [{"stop_after": 0}, {"time_limit": 0.0}])
def test_limits_out_of_range(limits):
    with pytest.raises(UserError, match="is needed"):
        StopConditions(**limits)
    with pytest.raises(UserError, match="is needed"):
        StopConditions(time_limit=float("nan"))


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        *((reason, 130 if reason is Reason.CTRL_C else 75) for reason in Reason),
        ("another process was asked to", 75),
    ],
)
def test_the_exit_code_asks_a_scheduler_to_try_again(reason, code):
    stopped = Interrupted(reason, 1200)
    assert stopped.exit_code == code
    assert str(stopped) == (
        f"stopped at step 1,200 ({reason}), saved; the same command goes on"
    )
    assert not isinstance(stopped, Exception)  # `except Exception` lets it pass


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3h", 3 * 3600),
        ("90m", 5400),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("2d", 172_800),
        ("2d12h30m5s", 2 * 86_400 + 12 * 3600 + 30 * 60 + 5),
        ("3600", 3600),
        ("0.5", 0.5),
        ("45s", 45),
        (" 3H ", 3 * 3600),
        ("1:30:00", 5400),
        ("100:00:01", 360_001),
        ("2-12:00:00", 2 * 86_400 + 12 * 3600),
    ],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "h", "3x", "3 h", "30m1h", "1h1h", "-5", "+5", "1e3", "inf", "nan", "0"),
        *(
            "0s",
            "0:00:00",
            "1:30",
            "1:60:00",
            "1:2:3",
            "1-1",
            "٣h",
            "9" * 400,
            "5m.",
            ".5h",
        ),
        "3h\n4",
    ],
)
def test_what_is_no_duration_gets_one_line_with_examples(text):
    with pytest.raises(UserError, match="is no time above 0; write 3h, 90m") as caught:
        parse_duration(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_program_in_a_long_call_leaves_at_its_next_boundary(number, code):
    program = (
        "import sys, time\n"
        "from cnn_jax.training.interruption import *\n"
        "with Interruption() as i, i.between_steps():\n"
        "    stop = StopConditions(interruption=i)\n"
        "    for step in range(1000):\n"
        "        print('begun', flush=True)\n"
        "        end = time.monotonic() + 0.05\n"
        "        while time.monotonic() < end: sum(range(1000))\n"
        "        print('done', flush=True)\n"
        "        if reason := stop.reason_to_stop(step, time.monotonic()):\n"
        "            sys.exit(Interrupted(reason, step).exit_code)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        output = process.stdout.read().split()
    assert process.returncode == code
    assert output == ["done"]


@pytest.mark.parametrize(
    ("code", "state", "requeued"),
    [
        (75, "RUNNING", True),
        (75, "COMPLETING", False),
        *((code, "RUNNING", False) for code in (0, 1, 2, 130, 143)),
    ],
)
def test_the_slurm_example_requeues_what_was_saved(tmp_path, code, state, requeued):
    commands = {
        "srun": f'echo "$@" > {tmp_path}/srun.txt; exit {code}',
        "squeue": f"echo {state}",
        "scontrol": f'echo "$@" > {tmp_path}/scontrol.txt',
    }
    for name, body in commands.items():
        tmp_path.joinpath(name).write_text(f"#!/bin/sh\n{body}\n")
        tmp_path.joinpath(name).chmod(0o755)
    script = Path(__file__).parents[2] / "docs" / "slurm" / "train.sbatch"
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "42"}
    run = subprocess.run(["bash", str(script)], env=environment, capture_output=True)
    assert run.returncode == code
    assert run.stderr == b""
    assert tmp_path.joinpath("scontrol.txt").exists() == requeued
    if requeued:
        assert tmp_path.joinpath("scontrol.txt").read_text() == "requeue 42\n"
    assert "cnn-jax train" in tmp_path.joinpath("srun.txt").read_text()
