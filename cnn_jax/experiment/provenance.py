"""Where a number came from: versions, commit, device. Recorded, never identity."""

import importlib.metadata
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

import cnn_jax
from cnn_jax.training.parallel import Devices, describe_device

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of this package, Python and what the numbers depend on."""
    found = {"cnn_jax": cnn_jax.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        found[package] = importlib.metadata.version(package)
    return found


def commit() -> str:
    """Return the commit of the checkout this package lies in; ``unknown`` without one.

    An uncommitted change is shown by a trailing ``+``.
    """
    checkout = Path(cnn_jax.__file__).resolve().parents[1]
    for candidate in (checkout, Path.cwd()):
        if not (candidate / "cnn_jax" / "__init__.py").exists():
            continue
        if not _git(candidate, "ls-files", "cnn_jax/__init__.py"):
            continue  # a repository of somebody else's around an installed package
        head = _git(candidate, "rev-parse", "HEAD")
        if head:
            return head + ("+" if _git(candidate, "status", "--porcelain", "-uno") else "")
    return "unknown"


def _git(directory: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def command() -> str:
    """Return the command line of this process as one would type it."""
    program = Path(sys.argv[0]).name
    if program == "__main__.py":
        program = "python -m cnn_jax"
    return " ".join([program, *(shlex.quote(argument) for argument in sys.argv[1:])])


def now() -> str:
    """Return the time of day, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def provenance(devices: Devices) -> dict[str, Any]:
    """Return everything that a manifest records besides the experiment.

    Args:
        devices: that the run began on.
    """
    return {
        "versions": versions(),
        "commit": commit(),
        "device": describe_device(),
        "devices": devices.count,
        "parallel": devices.strategy,
        "processes": jax.process_count(),
        "platform": platform.platform(),
        "command": command(),
        "started": now(),
    }
