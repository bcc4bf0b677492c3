"""What the devices send one another in a step, read off the program that XLA made."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from cnn_jax.layers.residual import BasicBlock
from cnn_jax.layers.residual_network import GlobalAveragePool, ResidualNetwork
from cnn_jax.layers.rows import Classifier, Conv
from cnn_jax.layers.tracing import trace_variables

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "compiled_collectives.py"
slow = pytest.mark.slow

NETWORK = ResidualNetwork(
    num_classes=10,
    input_shape=(8, 8, 3),
    table=(
        Conv("conv1", 8, 3, padding=1),
        BasicBlock("conv2_1", 8),
        BasicBlock("conv3_1", 16, 2),
        GlobalAveragePool("pool"),
        Classifier("fc"),
    ),
)
NORMALISATIONS = 6  # conv1, two in each block, the projection of conv3_1
BIASES = 8 + 2 * 8 + 3 * 16
PARAMETERS = sum(leaf.size for leaf in jax.tree.leaves(trace_variables(NETWORK)["params"]))

# In a process of its own: the number of devices is fixed when JAX starts.
PROGRAM = """
import json, runpy, sys
sys.path.insert(0, sys.argv[1])
from tests.training.test_compiled_program import NETWORK, SCRIPT
script = runpy.run_path(str(SCRIPT))
devices, wanted = int(sys.argv[2]), json.loads(sys.argv[3])
found = []
for arguments in wanted:
    step = script["compiled_step"](NETWORK, devices, **arguments)
    each = script["collectives"](step.as_text())
    found.append([(c.kind, c.elements, c.looped) for c in each])
print(json.dumps(found))
"""


def read_off(devices, *wanted):
    """(kind, elements, looped) of all operations among devices, for each of ``wanted``."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(ROOT), str(devices), json.dumps(wanted)],
        env=os.environ
        | {
            "JAX_NUM_CPU_DEVICES": str(devices),
            "JAX_PLATFORMS": "cpu",
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout.splitlines()[-1])


def is_one_all_reduce_of_the_gradients(found, *, ghost_pieces=0):
    """One of the gradients, two of each normalisation over the batch, and two numbers.

    Over ghost batches there is one of the running statistics instead, of every piece.
    """
    assert {kind for kind, _, _ in found} == {"all-reduce"}
    # Only running statistics over ghost batches are averaged piece by piece.
    assert all(elements <= 2 * BIASES for _, elements, looped in found if looped)
    assert ghost_pieces or not any(looped for _, _, looped in found)
    sizes = sorted(elements for _, elements, _ in found)
    # Loss and wrong guesses travel along or alone; the backward pass of a normalisation
    # over the batch sums its bias's gradient anyway, and XLA may use that sum.
    assert sizes[-1] >= PARAMETERS - BIASES
    if ghost_pieces:
        assert len(found) <= 4
        assert sum(sizes) <= PARAMETERS + ghost_pieces * 2 * BIASES + 2
    else:
        assert len(found) <= 1 + 2 * NORMALISATIONS + 2
        assert sum(sizes) <= PARAMETERS + 4 * BIASES + 2
    return True


JIT, PMAP = {"strategy": "jit"}, {"strategy": "pmap"}


@pytest.mark.parametrize(
    ("devices", "strategies"),
    [
        (8, [JIT]),
        pytest.param(8, [PMAP], marks=slow),
        pytest.param(64, [JIT, PMAP], marks=slow),
    ],
    ids=str,
)
def test_a_step_holds_one_all_reduce_of_the_gradients(devices, strategies):
    for found in read_off(devices, *strategies):
        assert is_one_all_reduce_of_the_gradients(found)


@slow
def test_what_is_computed_again_is_not_summed_again():
    for found in read_off(8, JIT | {"recompute": True}, PMAP | {"recompute": True}):
        assert is_one_all_reduce_of_the_gradients(found)


@slow
def test_pmap_sums_the_gradients_after_the_last_piece():
    pieces = PMAP | {"pieces": 4, "statistics_rows": 2}
    for found in read_off(8, pieces, pieces | {"unroll": False}):
        assert is_one_all_reduce_of_the_gradients(found, ghost_pieces=4)


@slow
def test_jit_sums_the_gradients_of_every_piece():
    """XLA's partitioner knows no value that is yet to be summed over the devices."""
    pieces = JIT | {"pieces": 4, "statistics_rows": 2}
    unrolled, looped = read_off(8, pieces, pieces | {"unroll": False})
    assert {kind for kind, _, _ in unrolled + looped} == {"all-reduce"}
    assert max(elements for _, elements, _ in unrolled) >= 4 * PARAMETERS
    assert [loop for _, elements, loop in looped if elements >= PARAMETERS] == [True]


def test_the_reading_of_a_program():
    collectives = runpy.run_path(str(SCRIPT))["collectives"]
    text = """
%body.1 (p: f32[3]) -> f32[3] {
  %r.1 = f32[3]{0} all-reduce(%p), replica_groups={{0,1}}, to_apply=%sum
}
ENTRY %main (p: f32[3]) -> f32[3] {
  %w = f32[3]{0} while(%p), condition=%c, body=%body.1
  %s = (f32[2,3]{1,0}, bf16[], s32[4]{0}) all-reduce-start(%a, %b, %c), to_apply=%sum
  %d = f32[3]{0} all-reduce-done(%s)
  ROOT %g = f32[8,3]{1,0} all-gather(%p), dimensions={0}
}
"""
    found = [(c.kind, c.elements, c.looped) for c in collectives(text)]
    assert found == [
        ("all-reduce", 3, True),
        ("all-reduce", 11, False),
        ("all-gather", 24, False),
    ]
