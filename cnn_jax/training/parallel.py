"""The one file that knows compilers and devices."""

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import jax
import numpy as np

Step = TypeVar("Step", bound=Callable[..., Any])

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
    """Return the compiled ``step``.

    Args:
        step: a pure function.
        donate: give the first argument's memory to the result.
    """
    return jax.jit(  # type: ignore[return-value]
        step, donate_argnums=(0,) if donate else (), compiler_options=compiler_options()
    )


def steps_per_dispatch() -> int:
    """Return how many training steps to hand to the device at once.

    A scan hides the latency of a dispatch on an accelerator; on a CPU a convolution
    inside a scan is several times slower than outside, and dispatch costs nothing.
    """
    return 1 if jax.default_backend() == "cpu" else 8


def place(tree: Any) -> Any:
    """Return ``tree`` as arrays on the device."""
    return jax.device_put(tree)


def fetch(tree: Any) -> Any:
    """Return ``tree`` as NumPy arrays; waits for the device."""
    return jax.tree.map(np.asarray, jax.device_get(tree))


def describe_device() -> str:
    """Return the kind and number of devices, for people."""
    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})"


@cache
def keep_freed_memory() -> None:
    """Tell the C library to keep freed memory for the next step instead of returning it.

    Otherwise every step of a CPU run faults all its temporary pages in again. The cost
    is that the process stays as large as it was at its peak, so this is for programs that
    train, never for a mere import. Numbers do not change. glibc only; elsewhere nothing
    happens.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # malloc.h
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, -1)
    mallopt(top_pad, 64 << 20)
