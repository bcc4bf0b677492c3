"""What a finished run's directory says of itself."""

from pathlib import Path
from typing import Any, NamedTuple

from cnn_jax.errors import UserError
from cnn_jax.training.run_directory import read_json


class FinishedRun(NamedTuple):
    """The two files of a run that ended.

    Attributes:
        manifest: what was run, on which data.
        result: what came out.
    """

    manifest: dict[str, Any]
    result: dict[str, Any]


def finished_run(directory: Path) -> FinishedRun:
    """Read ``manifest.json`` and ``result.json``.

    Args:
        directory: of one run.

    Raises:
        UserError: not a run's directory, or a run that is not finished or diverged.
    """
    manifest = read_json(directory / "manifest.json")
    if manifest is None or manifest.get("kind") != "run":
        raise UserError(f"{directory} is not a run directory: it has no manifest of a run")
    result = read_json(directory / "result.json")
    if result is None or result["status"] != "finished":
        status = "not finished" if result is None else result["status"]
        raise UserError(f"the run in {directory} is {status}")
    return FinishedRun(manifest, result)
