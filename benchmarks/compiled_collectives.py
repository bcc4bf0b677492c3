"""What the devices send one another in a training step, read off the compiled program.

    python benchmarks/compiled_collectives.py resnet20 --devices 8
    python benchmarks/compiled_collectives.py resnet20 --pieces 4 --ghost-rows 2

Devices are simulated on a CPU. No data is needed and no step is taken: the step is lowered
for the shapes of its arguments, compiled, and its text is read. XLA's CPU compiler is not
the one of an accelerator, which may start an all-reduce early or split it; which values are
summed over the devices is the same.
"""

import argparse
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

COLLECTIVE = re.compile(
    r"= (?P<shapes>.*?) (?P<kind>all-reduce|all-gather|all-to-all|collective-permute"
    r"|collective-broadcast|reduce-scatter)(-start)?\("
)
SHAPE = re.compile(r"\b(?:pred|[a-z]+\d+)\[([\d,]*)\]")


@dataclass(frozen=True)
class Collective:
    """One operation among all devices.

    Attributes:
        kind: XLA's name, such as ``all-reduce``.
        elements: numbers in its result.
        looped: it stands in the body of a loop.
    """

    kind: str
    elements: int
    looped: bool


def collectives(program: str) -> list[Collective]:
    """Return the operations among devices in the text of a compiled program."""
    bodies = set(re.findall(r"\bbody=%?([\w.\-]+)", program))
    found, computation = [], ""
    for line in program.splitlines():
        if line.endswith("{") and not line.startswith(" "):
            computation = line.removeprefix("ENTRY ").split(" ")[0].lstrip("%")
        match = COLLECTIVE.search(line)
        if match:
            elements = sum(
                math.prod(int(edge) for edge in shape.split(",") if edge)
                for shape in SHAPE.findall(match["shapes"])
            )
            found.append(Collective(match["kind"], elements, computation in bodies))
    return found


def compiled_step(
    model: Any,
    devices: int,
    strategy: Any = "jit",
    *,
    pieces: int = 1,
    rows: int = 2,
    **options: Any,
) -> Any:
    """Return the compiled training step of a network: plain SGD, no augmentation.

    Args:
        model: of the zoo.
        devices: that share a batch.
        strategy: ``jit`` or ``pmap``.
        pieces: that a batch is taken in.
        rows: examples a device and piece.
        **options: of ``StepOptions``.
    """
    from cnn_jax.optim.optimizers import Sgd
    from cnn_jax.optim.schedules import Constant
    from cnn_jax.training.losses import cross_entropy
    from cnn_jax.training.parallel import choose_devices
    from cnn_jax.training.state import init_state
    from cnn_jax.training.steps import StepOptions, TrainData, make_train_step

    where = choose_devices(devices, strategy)
    optimizer = Sgd().build(Constant(0.1).build(1.0))
    step = make_train_step(
        model,
        cross_entropy,
        optimizer,
        lambda _, pixels, __: pixels / jnp.float32(255),
        StepOptions(axis_name=where.axis_name, **options),
    )
    state = jax.eval_shape(lambda: init_state(model, optimizer, jnp.uint32(0)))
    images = jax.ShapeDtypeStruct((64, *model.input_shape), jnp.uint8)
    data = TrainData(images, jax.ShapeDtypeStruct((64,), jnp.int32), ())
    whole = jax.sharding.NamedSharding(where.mesh, jax.sharding.PartitionSpec())
    state, data = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=whole),
        (state, data),
    )
    positions = where.place_positions(np.zeros((pieces, devices * rows), np.int32))
    compiled: Any = where.compile_train_step(step)
    return compiled.lower(state, data, positions).compile()


def describe(found: list[Collective]) -> str:
    """Return a line a kind and a line for the large ones."""
    kinds = Counter(each.kind for each in found)
    lines = [
        f"{count} x {kind}, {sum(c.elements for c in found if c.kind == kind):,} numbers"
        for kind, count in kinds.items()
    ]
    largest = sorted(found, key=lambda each: -each.elements)[:3]
    sizes = ", ".join(f"{c.elements:,}{' (in a loop)' * c.looped}" for c in largest)
    return "\n".join([*lines, f"largest: {sizes or 'none'}"])


def main() -> None:
    """Print what a network's step sends."""
    import cnn_jax
    from cnn_jax.layers.tracing import trace_variables

    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument("--parallel", choices=("jit", "pmap"), default="jit")
    parser.add_argument("--pieces", type=int, default=1)
    parser.add_argument("--ghost-rows", type=int, default=None)
    parser.add_argument("--recompute", action="store_true")
    told = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", told.devices)
    model = cnn_jax.create_model(told.model)
    variables = trace_variables(model)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    print(
        f"{told.model}, {told.devices} devices, {told.parallel}: {parameters:,} gradients"
    )
    step = compiled_step(
        model,
        told.devices,
        told.parallel,
        pieces=told.pieces,
        statistics_rows=told.ghost_rows,
        recompute=told.recompute,
    )
    print(describe(collectives(step.as_text())))


if __name__ == "__main__":
    main()
