"""Several processes that train one network together, usually one a host.

Every process runs the same program. The first one alone writes to the disk and to the
terminal; what it reads there, the others get from it. What would make one of them leave
the loop (a signal, a time limit, a loss that is NaN) is agreed on, because the others would
wait for it for ever.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import numpy as np

from cnn_jax.errors import UserError

Value = TypeVar("Value")

AGREE_EVERY_DISPATCHES = 16
"""How often several processes ask each other whether to stop; an answer costs a sum of one
number over all of them."""

_REASON_BYTES = 64

_OWN = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
_SLURM = (
    "SLURM_JOB_ID",
    "SLURM_STEP_NODELIST",
    "SLURM_NTASKS",
    "SLURM_PROCID",
    "SLURM_LOCALID",
)
_OPEN_MPI = (
    "OMPI_COMM_WORLD_SIZE",
    "OMPI_COMM_WORLD_RANK",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "OMPI_MCA_orte_hnp_uri",  # not set by Open MPI 5
)
_CLUSTERS = (  # in JAX's order: mpirun may well run inside a SLURM allocation
    (_OPEN_MPI, f"start every process with mpirun of Open MPI 4, or set {', '.join(_OWN)}"),
    (_SLURM, "start every process with srun"),
)
_KUBERNETES = "KUBERNETES_SERVICE_HOST"


def join_cluster(environment: Mapping[str, str] | None = None) -> None:
    """Start ``jax.distributed``; must come before anything that uses a device.

    The job is described by ``JAX_COORDINATOR_ADDRESS`` (host:port of the first process),
    ``JAX_NUM_PROCESSES`` and ``JAX_PROCESS_ID``; or by what SLURM (srun), Open MPI (mpirun)
    or Kubernetes set, which JAX reads by itself.

    Args:
        environment: variables; those of the process if not given.

    Raises:
        UserError: variables that are half set or make no sense, or the other processes
            did not come.
    """
    arguments = cluster_arguments(os.environ if environment is None else environment)
    try:
        jax.distributed.initialize(**arguments)
        # Now, when all are there: later each would wait minutes for one that has left.
        jax.devices()
    except (RuntimeError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--distributed: the processes did not meet: {reason}") from None


def cluster_arguments(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of ``jax.distributed.initialize``; none where JAX finds them.

    Raises:
        UserError: the variables are half set, contradict each other, or are missing.
    """
    if any(environment.get(name) for name in _OWN):
        return _own_arguments(environment)
    if any(all(environment.get(name) for name in names) for names, _ in _CLUSTERS):
        return {}
    if environment.get(_KUBERNETES):
        return {}
    for names, advice in _CLUSTERS:
        found = [name for name in names if environment.get(name)]
        if found:
            _check_whole(found, names, advice)
    raise UserError(
        f"--distributed: neither {', '.join(_OWN)} are set nor was this started by srun, "
        f"mpirun or Kubernetes"
    )


def _own_arguments(environment: Mapping[str, str]) -> dict[str, Any]:
    found = [name for name in _OWN if environment.get(name)]
    _check_whole(found, _OWN, "set all three for every process")
    address, processes, number = (environment[name] for name in _OWN)
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 65536):
        raise UserError(f"{_OWN[0]}={address} is not HOST:PORT")
    for name in _OWN[1:]:
        if not environment[name].isdecimal():
            raise UserError(f"{name}={environment[name]} is not a whole number")
    if not int(number) < int(processes):
        raise UserError(
            f"{_OWN[2]}={number} is not in 0 ... {int(processes) - 1}, "
            f"for {_OWN[1]}={processes}"
        )
    return {
        "coordinator_address": address,
        "num_processes": int(processes),
        "process_id": int(number),
    }


def _check_whole(found: list[str], names: tuple[str, ...], advice: str) -> None:
    missing = [name for name in names if name not in found]
    if missing:
        raise UserError(
            f"--distributed: {', '.join(found)} {'is' if len(found) == 1 else 'are'} set "
            f"but {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not; {advice}"
        )


def is_first() -> bool:
    """Return whether this process is the one that writes."""
    return jax.process_index() == 0


def from_first(tree: Any) -> Any:
    """Return the first process's arrays, as NumPy arrays; the others' give the shapes."""
    if jax.process_count() == 1:
        return tree
    from jax.experimental import multihost_utils

    return jax.tree.map(np.asarray, multihost_utils.broadcast_one_to_all(tree))


def any_process(flag: bool) -> bool:
    """Return whether ``flag`` holds in at least one process; all must ask."""
    if jax.process_count() == 1:
        return flag
    from jax.experimental import multihost_utils

    return bool(np.any(multihost_utils.process_allgather(np.array(flag))))


def all_or_none(action: Callable[[], Value]) -> Value:
    """Return what ``action`` returns, unless it is refused in one process; all must ask.

    The others would wait for one that has left.

    Raises:
        UserError: ``action`` raised it here or elsewhere.
        OSError: ``action`` raised it.
    """
    value: list[Value] = []
    failure: UserError | OSError | None = None
    try:
        value.append(action())
    except (UserError, OSError) as error:
        failure = error
    if any_process(failure is not None):
        raise failure or UserError("another process could not start; see what it says")
    return value[0]


def one_reason(reason: str | None) -> str | None:
    """Return the reason of the first process that has one; all must ask.

    Args:
        reason: why this process wants to stop, ASCII; None if it doesn't.
    """
    if jax.process_count() == 1:
        return reason
    from jax.experimental import multihost_utils

    own = np.frombuffer((reason or "").encode().ljust(_REASON_BYTES)[:_REASON_BYTES], "u1")
    for other in multihost_utils.process_allgather(own):
        told = bytes(other).decode().strip()
        if told:
            return told
    return None


def check_same(what: str, value: str) -> None:
    """Refuse processes that are not of one mind.

    Args:
        what: the value is, for people.
        value: must be equal everywhere.

    Raises:
        UserError: it is not.
    """
    if jax.process_count() == 1:
        return
    from jax.experimental import multihost_utils

    digest = np.frombuffer(hashlib.sha256(value.encode()).digest(), np.uint8)
    others = multihost_utils.process_allgather(digest)
    differing = [
        i for i, other in enumerate(others) if not np.array_equal(other, others[0])
    ]
    if differing:
        raise UserError(
            f"{what} differs between the processes: process {differing[0]} has another "
            f"than process 0; all need the same code, data and command"
        )
