"""The flags that several subcommands share: same name, same meaning."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

Name = Annotated[Positional[str], arg(metavar="NAME")]
Dataset = Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")]
DataDir = Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")]
Directory = Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")]
Count = Annotated[int | None, arg(metavar="N", help_behavior_hint="")]
Epochs = Annotated[float | None, arg(metavar="N", help_behavior_hint="")]
Names = Annotated[str | None, arg(metavar="A,B", help_behavior_hint="")]
Progress = Literal["auto", "live", "plain", "none"]
Seconds = Annotated[str | None, arg(metavar="TIME", help_behavior_hint="")]
Parallel = Literal["jit", "pmap"]
Stream = Literal["auto", "always", "never"]
Precision = Literal["f32", "bf16", "f64"]


def start_devices(*, distributed: bool, precision: str | None) -> None:
    """Prepare JAX for what was asked for; must come before anything that uses a device.

    Args:
        distributed: several processes work together.
        precision: ``f64`` switches double precision on.
    """
    import jax

    from cnn_jax.training.hosts import join_cluster
    from cnn_jax.training.memory import keep_freed_memory

    if precision == "f64":
        jax.config.update("jax_enable_x64", True)
    if distributed:
        join_cluster()
    keep_freed_memory()
