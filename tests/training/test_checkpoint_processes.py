"""Checkpoints of processes that are killed, and of several that share a directory."""

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnn_jax.training.checkpoint import open_checkpoints

ROOT = Path(__file__).parents[2]

# A process that saves without a pause is killed at a random moment, again and again. Each
# one first checks what the one before it left. They are forked, because imports take long.
KILLED = """
import os, random, signal, sys, time, warnings
from pathlib import Path
import numpy as np
import orbax.checkpoint
from cnn_jax.training.checkpoint import open_checkpoints

directory, kills = Path(sys.argv[1]), int(sys.argv[2])
told = directory.with_name("told")
told.write_text("0\\n")


def state(step):
    values = np.random.default_rng(step).standard_normal(100_000)
    return {"step": np.asarray(step), "values": values}


def check_and_save():
    with open_checkpoints(directory) as checkpoints:
        restored, problems = checkpoints.restore(state(0))
        assert problems == [], problems
        step = 0 if restored is None else int(restored["step"])
        returned = int(told.read_text().split()[-1])
        # The save that had returned, or began, when the kill came; or the one before it.
        assert step in (returned - 1, returned, returned + 1), (step, returned)
        if restored is not None:
            assert np.array_equal(restored["values"], state(step)["values"])
        with told.open("a") as file:
            while True:
                step += 1
                checkpoints.save(step, state(step), validation_error=step * 7 % 10 / 10)
                assert len(checkpoints.steps()) <= 4
                print(step, file=file, flush=True)


random.seed(0)
warnings.simplefilter("ignore")  # of forks
for kill in range(kills):
    begun = len(told.read_text().split())
    child = os.fork()
    if child == 0:
        try:
            check_and_save()
        finally:
            import traceback

            traceback.print_exc()
            os._exit(1)
    deadline = time.monotonic() + 30
    while len(told.read_text().split()) < begun + 2 and time.monotonic() < deadline:
        if os.waitpid(child, os.WNOHANG)[0]:
            sys.exit("a check failed")
        time.sleep(0.001)
    time.sleep(random.uniform(0, 0.15))
    os.kill(child, signal.SIGKILL)
    if os.waitpid(child, 0)[1] != signal.SIGKILL:
        sys.exit("a check failed")
"""


@pytest.mark.parametrize("kills", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_a_kill_at_any_moment_leaves_only_readable_checkpoints(tmp_path, kills):
    directory = tmp_path / "checkpoints"
    command = [sys.executable, "-c", KILLED, str(directory), str(kills)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    like = {"step": np.asarray(0), "values": np.zeros(100_000)}
    with open_checkpoints(directory, read_only=True) as checkpoints:
        for step in checkpoints.steps():
            assert checkpoints.restore(like, step).state["step"] == step
        assert checkpoints.steps()[-1] >= kills


TWO = """
import os, signal, sys, time
from pathlib import Path
import jax, numpy as np

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_cpu_collectives_implementation", "gloo")
me, port, directory = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
jax.distributed.initialize(f"localhost:{port}", 2, me)
from jax.experimental import multihost_utils
from cnn_jax.training import checkpoint_format
from cnn_jax.training.checkpoint import open_checkpoints
from cnn_jax.training.interruption import Interruption, Reason, agreed

mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
state = jax.jit(
    lambda: {"x": jax.numpy.arange(10.0), "step": jax.numpy.int32(3)}, out_shardings=whole
)()
assert len(state["x"].sharding.device_set) == 4 and not state["x"].is_fully_addressable

if me == 1:  # only the first may write
    checkpoint_format.write_checkpoint = None
    Path.mkdir = None
with open_checkpoints(directory) as checkpoints:
    if me == 1:
        time.sleep(0.5)  # nobody waits for the other
    before = time.monotonic()
    checkpoints.save(3, state, validation_error=0.5)
    checkpoints.wait()
    multihost_utils.sync_global_devices("written")
    assert checkpoints.steps() == [3] and checkpoints.best_step() == 3
    read, problems = checkpoints.restore(state)
    assert problems == [] and type(read["x"]) is np.ndarray
    assert np.array_equal(read["x"], np.arange(10.0)) and read["step"] == 3
    again = jax.make_array_from_callback((10,), whole, lambda index: read["x"][index])
    total = jax.jit(lambda x: x.sum(), out_shardings=whole)(again)
    assert float(total.addressable_data(0)) == 45
with Interruption() as interruption:
    if me == 1:
        os.kill(os.getpid(), signal.SIGTERM)
    mine = interruption.requested
    codes = multihost_utils.process_allgather(np.int32(mine.code if mine else 0))
    assert mine == ("SIGTERM" if me == 1 else None)
    assert agreed(codes) is Reason.SIGTERM
"""


@pytest.mark.slow
def test_two_processes_share_a_directory_and_one_writes(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TWO, str(i), port, str(tmp_path / "checkpoints")],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
    # What four devices of two processes wrote, one process reads for as many as it has.
    like = {"x": np.zeros(10, np.float32), "step": np.int32(0)}
    with open_checkpoints(tmp_path / "checkpoints", read_only=True) as checkpoints:
        state = checkpoints.restore(like).state
    np.testing.assert_array_equal(state["x"], np.arange(10.0))
