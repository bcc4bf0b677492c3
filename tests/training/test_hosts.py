"""What a cluster says of itself, half or whole; one process alone needs nobody."""

import jax
import numpy as np
import pytest

from cnn_jax import UserError
from cnn_jax.training.hosts import (
    any_process,
    check_same,
    cluster_arguments,
    from_first,
    is_first,
    join_cluster,
    one_reason,
)

OWN = {
    "JAX_COORDINATOR_ADDRESS": "node1:1234",
    "JAX_NUM_PROCESSES": "2",
    "JAX_PROCESS_ID": "1",
}
SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
}
OPEN_MPI = {
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_RANK": "0",
    "OMPI_COMM_WORLD_LOCAL_RANK": "0",
    "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1:34911",
}


def test_our_own_variables_are_handed_on():
    assert cluster_arguments(OWN) == {
        "coordinator_address": "node1:1234",
        "num_processes": 2,
        "process_id": 1,
    }
    assert cluster_arguments(SLURM | OWN)["process_id"] == 1  # they count before SLURM's
    brackets = OWN | {"JAX_COORDINATOR_ADDRESS": "[::1]:1234"}
    assert cluster_arguments(brackets)["coordinator_address"] == "[::1]:1234"


@pytest.mark.parametrize(
    "environment",
    [
        SLURM,
        OPEN_MPI,
        OPEN_MPI | {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2"},  # mpirun in an allocation
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1"},
    ],
)
def test_what_jax_finds_by_itself_is_left_to_it(environment):
    assert cluster_arguments(environment) == {}


@pytest.mark.parametrize(
    ("variables", "advice"),
    [(OWN, "set all three"), (SLURM, "with srun"), (OPEN_MPI, "with mpirun")],
    ids=["own", "slurm", "open_mpi"],
)
def test_half_set_variables_are_refused_with_those_that_are_missing(variables, advice):
    for name in variables:
        rest = {n: value for n, value in variables.items() if n != name}
        with pytest.raises(UserError, match=f"but {name} is not; .*{advice}"):
            cluster_arguments(rest)
        with pytest.raises(UserError, match=f"but {name} is not"):
            cluster_arguments(rest | {name: ""})
    first, *others = variables
    with pytest.raises(UserError) as error:
        cluster_arguments({first: variables[first]})
    told = str(error.value)
    assert f"{first} is set but" in told
    assert all(name in told for name in others)
    assert "\n" not in told


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"JAX_COORDINATOR_ADDRESS": "node1"}, "=node1 is not HOST:PORT"),
        ({"JAX_COORDINATOR_ADDRESS": "node1:http"}, "=node1:http is not HOST:PORT"),
        ({"JAX_COORDINATOR_ADDRESS": "node1:"}, "=node1: is not HOST:PORT"),
        ({"JAX_COORDINATOR_ADDRESS": ":1234"}, "=:1234 is not HOST:PORT"),
        ({"JAX_COORDINATOR_ADDRESS": "node1:65536"}, "=node1:65536 is not HOST:PORT"),
        ({"JAX_NUM_PROCESSES": "two"}, "JAX_NUM_PROCESSES=two is not a whole number"),
        ({"JAX_NUM_PROCESSES": "²"}, "JAX_NUM_PROCESSES=² is not a whole number"),
        ({"JAX_PROCESS_ID": "-1"}, "JAX_PROCESS_ID=-1 is not a whole number"),
        ({"JAX_PROCESS_ID": "2"}, "=2 is not in 0 ... 1, for JAX_NUM_PROCESSES=2"),
        ({"JAX_NUM_PROCESSES": "0", "JAX_PROCESS_ID": "0"}, "NUM_PROCESSES=0"),
    ],
)
def test_values_that_make_no_sense_are_refused(fields, reason):
    with pytest.raises(UserError) as error:
        cluster_arguments(OWN | fields)
    assert reason in str(error.value)


def test_nothing_set_is_refused_before_anything_is_started(monkeypatch):
    monkeypatch.setattr(jax.distributed, "initialize", None)
    with pytest.raises(UserError, match=r"neither JAX_COORDINATOR_ADDRESS, .* are set nor"):
        join_cluster({})
    with pytest.raises(UserError, match="neither"):
        join_cluster({"SLURM_CLUSTER_NAME": "x", "PATH": "/bin"})


def test_processes_that_do_not_meet_are_one_line(monkeypatch):
    def refuse(**arguments):
        raise RuntimeError("DEADLINE_EXCEEDED: 1/2 came\n\nRPC details")

    monkeypatch.setattr(jax.distributed, "initialize", refuse)
    with pytest.raises(UserError) as error:
        join_cluster(OWN)
    expected = "the processes did not meet: DEADLINE_EXCEEDED: 1/2 came RPC details"
    assert expected in str(error.value)


def test_one_process_alone_asks_nobody(monkeypatch):
    monkeypatch.setattr(jax.Array, "__array__", None, raising=False)
    tree = {"x": np.arange(3)}
    assert is_first()
    assert from_first(tree) is tree
    assert any_process(True)
    assert not any_process(False)
    assert one_reason("SIGTERM") == "SIGTERM"
    assert one_reason(None) is None
    check_same("the experiment", "a")


class Several:
    """Two processes; the other one's answer is given."""

    def __init__(self, monkeypatch, other):
        from jax.experimental import multihost_utils

        monkeypatch.setattr(jax, "process_count", lambda: 2)
        monkeypatch.setattr(
            multihost_utils,
            "process_allgather",
            lambda own: np.stack([own, other(own)]),
        )


def test_the_first_process_that_has_a_reason_gives_it_to_all(monkeypatch):
    reason = np.frombuffer(b"SIGTERM".ljust(64), "u1")
    Several(monkeypatch, lambda own: reason)
    assert one_reason(None) == "SIGTERM"
    assert one_reason("the time limit") == "the time limit"  # this is process 0
    Several(monkeypatch, lambda own: own)
    assert one_reason(None) is None
    assert one_reason("x" * 100) == "x" * 64


def test_any_process_and_processes_of_different_minds(monkeypatch):
    Several(monkeypatch, lambda own: np.array(True))
    assert any_process(False)
    Several(monkeypatch, lambda own: own)
    assert not any_process(False)
    check_same("the experiment", "a")
    Several(monkeypatch, lambda own: own[::-1])
    with pytest.raises(UserError, match=r"the experiment differs .* process 1 has another"):
        check_same("the experiment", "a")
