"""The one file that knows compilers and devices; ``hosts.py`` knows other processes.

The same pure step runs on one device or many, by one of two strategies:

jit     (default) One program over the whole batch; its rows lie on the devices of a mesh,
        and XLA puts in the sums across devices. Whatever the step says of "the batch" is
        true of the global batch.
pmap    One program a device over the device's own rows, which sums gradients, metrics
        and batch statistics over the devices by name (``StepOptions.axis_name``).

The state is replicated: every device holds all of it, in either strategy in the same
arrays, so that a checkpoint knows neither the strategy nor the number of devices.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from cnn_jax.errors import UserError

Step = TypeVar("Step", bound=Callable[..., Any])
Strategy = Literal["jit", "pmap"]

AXIS = "data"

# Convolutions on a CPU run 2 to 5 times faster without this fusion (benchmarks/).
_CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}


@cache
def compiler_options() -> dict[str, Any]:
    """Return the options that this backend and this version of XLA take."""
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda x: x + 1, compiler_options=_CPU_OPTIONS)(0).block_until_ready()
    except (jax.errors.JaxRuntimeError, ValueError):  # an unknown option
        return {}
    return _CPU_OPTIONS


def compile_step(step: Step, *, donate: bool) -> Step:
    """Return the compiled ``step`` for one device.

    Args:
        step: a pure function.
        donate: give the first argument's memory to the result.
    """
    return jax.jit(  # type: ignore[return-value]
        step, donate_argnums=(0,) if donate else (), compiler_options=compiler_options()
    )


@dataclass(frozen=True)
class Devices:
    """The devices that a batch is spread over, and how.

    Attributes:
        mesh: one axis, ``"data"``.
        strategy: ``"jit"`` or ``"pmap"``.
    """

    mesh: Mesh
    strategy: Strategy = "jit"

    @property
    def count(self) -> int:
        """Number of devices, those of other hosts included."""
        return int(self.mesh.size)

    @property
    def axis_name(self) -> str | None:
        """What a step calls the devices; None where it sees the whole batch."""
        return AXIS if self.strategy == "pmap" else None

    @property
    def _whole(self) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec())

    def _rows(self, axis: int = 0) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec(*(None,) * axis, AXIS))

    def compile(self, function: Step, *, donate: bool = False) -> Step:
        """Return a compiled pure function; what it returns is whole on every device.

        Its arguments lie where they were placed.

        Args:
            function: of arrays.
            donate: give the first argument's memory to the result.
        """
        return jax.jit(  # type: ignore[return-value]
            function,
            out_shardings=self._whole,
            donate_argnums=(0,) if donate else (),
            compiler_options=compiler_options(),
        )

    def compile_train_step(self, step: Step) -> Step:
        """Return the compiled training step (state, data, positions) -> (state, metrics).

        The state's memory is given to the result. The positions come from
        ``place_positions``.
        """
        if self.strategy == "jit":
            return self.compile(step, donate=True)
        each: Any = jax.pmap(
            step,
            axis_name=AXIS,
            in_axes=(None, None, 0),  # state and data whole, positions a row a device
            out_axes=None,
            donate_argnums=(0,),
            devices=list(self.mesh.devices.flat),
        )
        if jax.process_count() == 1:
            return each

        def step_of_all(*arguments: Any) -> Any:
            return jax.tree.map(self._everywhere, each(*arguments))

        return step_of_all  # type: ignore[return-value]

    def place(self, tree: Any) -> Any:
        """Return ``tree`` as arrays that every device holds whole."""
        return self._put(tree, self._whole)

    def place_rows(self, tree: Any) -> Any:
        """Return ``tree`` with the rows of every array spread over the devices."""
        return self._put(tree, self._rows())

    @property
    def shard(self) -> tuple[int, int]:
        """Which of how many equal parts of a batch's rows this process's devices hold."""
        owners = [device.process_index for device in self.mesh.devices.flat]
        mine = owners.count(jax.process_index())
        return owners.index(jax.process_index()) // mine, self.count // mine

    def own_rows(self, rows: int) -> slice:
        """Return which of so many rows of a batch lie on this process's devices."""
        index, count = self.shard
        return slice(index * rows // count, (index + 1) * rows // count)

    def place_positions(self, positions: np.ndarray) -> Any:
        """Return positions [..., rows], all of them, as a training step takes them."""
        axis = positions.ndim - 1
        return self.place_taken(positions[..., self.own_rows(positions.shape[axis])], axis)

    def place_taken(self, taken: Any, axis: int) -> Any:
        """Return what a compiled training step takes.

        Args:
            taken: arrays with rows at ``axis``, of which each process gives its own.
            axis: where the rows are.
        """
        parts = self.shard[1]

        def put(leaf: np.ndarray) -> jax.Array:
            if self.strategy == "jit":
                return self._put_own(leaf, self._rows(axis), axis)
            shape, devices = leaf.shape, self.count // parts
            each = leaf.reshape(*shape[:axis], devices, -1, *shape[axis + 1 :])
            each = np.ascontiguousarray(np.moveaxis(each, axis, 0))
            return self._put_own(each, self._rows(), 0)

        return jax.tree.map(put, taken)

    def place_own_rows(self, tree: Any) -> Any:
        """Return what ``place_rows`` does, from this process's own rows."""
        return jax.tree.map(lambda leaf: self._put_own(leaf, self._rows(), 0), tree)

    def _put_own(self, leaf: Any, sharding: NamedSharding, axis: int) -> jax.Array:
        if jax.process_count() == 1:
            return jax.device_put(leaf, sharding)
        shape = list(leaf.shape)
        shape[axis] *= self.shard[1]
        return jax.make_array_from_process_local_data(sharding, leaf, tuple(shape))

    def _everywhere(self, leaf: jax.Array) -> jax.Array:
        """Return what pmap gives this process as a part of one array of all processes."""
        shards = [shard.data for shard in leaf.addressable_shards]
        return jax.make_array_from_single_device_arrays(leaf.shape, self._whole, shards)

    def _put(self, tree: Any, sharding: NamedSharding) -> Any:
        if jax.process_count() == 1:
            return jax.device_put(tree, sharding)

        def put(leaf: Any) -> jax.Array:  # every process has all of it: no transfer
            value = np.asarray(leaf)
            return jax.make_array_from_callback(value.shape, sharding, value.__getitem__)

        return jax.tree.map(put, tree)


def choose_devices(count: int | None = None, strategy: Strategy = "jit") -> Devices:
    """Return the devices to run on.

    Args:
        count: how many; None for one, or for all where several processes work together.
        strategy: ``"jit"`` or ``"pmap"``.

    Raises:
        UserError: there are not as many, or not all where several processes work together.
    """
    # One process's devices side by side, so that it holds one block of a batch's rows.
    there = sorted(jax.devices(), key=lambda device: device.process_index)
    several = jax.process_count() > 1
    wanted = count if count is not None else (len(there) if several else 1)
    if wanted < 1:
        raise UserError(f"--devices {wanted}: at least 1 is needed")
    if wanted > len(there):
        raise UserError(
            f"--devices {wanted}: there {'is' if len(there) == 1 else 'are'} only "
            f"{describe_device()}"
            + (
                "; JAX_NUM_CPU_DEVICES=N simulates N on a CPU"
                if there[0].platform == "cpu"
                else ""
            )
        )
    if several and wanted != len(there):
        raise UserError(
            f"--devices {wanted}: the {jax.process_count()} processes of this job have "
            f"{len(there)} devices, and all of them take part"
        )
    mesh = Mesh(np.array(there[:wanted]), (AXIS,), axis_types=(AxisType.Auto,))
    return Devices(mesh, strategy)


def check_shares(batch_size: int, devices: int, pieces: int = 1) -> None:
    """Refuse a batch that can't be shared out evenly.

    Args:
        batch_size: examples a step, over all devices.
        devices: how many there are.
        pieces: that each device takes its share in (gradient accumulation).

    Raises:
        UserError: with the nearest batch sizes that can.
    """
    share = devices * pieces
    if batch_size % share == 0:
        return
    below = batch_size // share * share
    nearest = f"{below} and {below + share}" if below else f"{share}"
    among = f"{devices} devices" if devices > 1 else "one device"
    in_pieces = f" in {pieces} pieces each" if pieces > 1 else ""
    raise UserError(
        f"a batch of {batch_size} examples can't be shared evenly by {among}{in_pieces}; "
        f"the nearest batch size{'s' if below else ''} that can: {nearest}"
    )


def steps_per_dispatch() -> int:
    """Return how many training steps to hand to the device at once.

    A scan hides the latency of a dispatch on an accelerator; on a CPU a convolution
    inside a scan is several times slower than outside, and dispatch costs nothing.
    """
    return 1 if jax.default_backend() == "cpu" else 8


def place(tree: Any) -> Any:
    """Return ``tree`` as arrays on the first device."""
    return jax.device_put(tree)


def fetch(tree: Any) -> Any:
    """Return ``tree`` as NumPy arrays; waits for the device.

    Arrays that every device holds whole are read from one of them.
    """

    def whole(leaf: Any) -> Any:
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            return leaf.addressable_data(0)
        return leaf

    return jax.tree.map(np.asarray, jax.device_get(jax.tree.map(whole, tree)))


def describe_device() -> str:
    """Return the kind and number of devices, for people."""
    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})"
