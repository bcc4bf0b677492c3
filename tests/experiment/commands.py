"""Starts the command line in processes of its own, alone or several that work together."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PATIENCE = 300
"""Seconds after which a process counts as hanging: many times what any test takes."""


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def start(
    *arguments, devices=1, checkpoint_seconds=60.0, step_seconds=0.0, cache, cluster=None
):
    """Start ``cnn-jax`` with the experiments of ``interruptible.py``.

    Args:
        arguments: of the command line.
        devices: simulated ones of this process.
        checkpoint_seconds: longest time between two checkpoints.
        step_seconds: that each step takes longer than it does.
        cache: directory of compiled programs, so that only the first one compiles.
        cluster: (port, number of processes, number of this one).
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    environment |= {
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": str(devices),
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    arguments = [*map(str, arguments), "--experiments", "tests/experiment"]
    if cluster is not None:
        port, count, number = cluster
        environment |= {
            "JAX_COORDINATOR_ADDRESS": f"localhost:{port}",
            "JAX_NUM_PROCESSES": str(count),
            "JAX_PROCESS_ID": str(number),
        }
        arguments.append("--distributed")
    pace = [str(checkpoint_seconds), str(step_seconds)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.experiment.command", *pace, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_two(*arguments, other=(), **options):
    """Start two processes that work together; ``other`` are arguments of the second."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    return [
        start(*arguments, *extra, cluster=(port, 2, number), **options)
        for number, extra in enumerate([(), other])
    ]


def finish(*processes):
    """Wait for all; a process that hangs is killed and fails the test."""
    deadline = time.monotonic() + PATIENCE
    try:
        return [_ended(process, deadline - time.monotonic()) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _ended(process, seconds):
    out, err = process.communicate(timeout=max(1, seconds))
    # Gloo, the sums across processes on CPUs, tells on standard output that it has begun.
    ours = [line for line in out.splitlines(True) if not line.startswith("[Gloo]")]
    return Ended(process.returncode, "".join(ours), err)


def run_command(*arguments, **options):
    """Start one and wait for it."""
    (ended,) = finish(start(*arguments, **options))
    return ended


def wait_for_steps(directory, steps, *processes):
    """Wait until so many steps have been executed in ``directory``, over all attempts."""
    deadline = time.monotonic() + PATIENCE
    while executed(directory) < steps:
        for process in processes:
            assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no progress"
        time.sleep(0.005)


def executed(directory):
    """Steps executed so far, over all attempts."""
    with contextlib.suppress(FileNotFoundError):
        return int((Path(directory) / "steps_executed").read_text() or 0)
    return 0
