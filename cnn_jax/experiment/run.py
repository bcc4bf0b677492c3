"""``run``: train one experiment in a directory, or go on where it was interrupted."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cnn_jax.data.dataset import Dataset
from cnn_jax.errors import UserError
from cnn_jax.experiment.attempt import train
from cnn_jax.experiment.declaration import (
    Experiment,
    Where,
    encode_experiment,
    identity,
)
from cnn_jax.experiment.difference import first_difference
from cnn_jax.experiment.outcome import Result
from cnn_jax.experiment.program import Workbench
from cnn_jax.experiment.provenance import provenance
from cnn_jax.experiment.start import digest_of_start, starting_weights
from cnn_jax.training.hosts import all_or_none, any_process, check_same, is_first
from cnn_jax.training.progress import Progress, make_progress
from cnn_jax.training.run_directory import (
    cannot_write,
    locked,
    make_directory,
    read_json,
    write_json,
)


def run(
    experiment: Experiment,
    workdir: Path | str,
    where: Where | None = None,
    *,
    workbench: Workbench | None = None,
    progress: Progress | None = None,
    title: str = "run",
    study_file: str | None = None,
) -> Result:
    """Train ``experiment`` in ``workdir`` and return what ``result.json`` holds.

    A directory that holds the finished run is only read; one that holds a part of it is
    gone on with, and ends bitwise as if it had never been interrupted.

    Where several processes work together, all call this; the first one alone writes.

    Args:
        experiment: what to train.
        workdir: made if it is not there; see ``training/run_directory.py``.
        where: data directory, devices, progress, checkpoint interval; the workbench's if
            not given.
        workbench: shares data and compiled programs between runs; made if not given.
        progress: display to use; made from ``where`` if not given.
        title: of the run in the display.
        study_file: name of a user's study file in the parent directory, which
            ``load_run`` needs where the experiment names functions of it.

    Raises:
        UserError: the directory holds another run or is in use, the data is missing or
            broken, or the disk is full.
        Interrupted: training was asked to stop; it was saved, and the same call goes on.
    """
    workdir, bench = Path(workdir), workbench or Workbench(where or Where())
    where = where or bench.where
    display = progress or make_progress(where.progress if is_first() else "none")
    try:
        manifest = all_or_none(lambda: run_manifest(experiment, bench))
        check_same("the experiment or its data", manifest["identity"])
        with ExitStack() as stack:
            finished = all_or_none(
                lambda: _enter(stack, experiment, workdir, bench, manifest, study_file)
            )
            if any_process(finished is not None):
                return finished or read_json(workdir / "result.json") or {}
            return train(experiment, workdir, where, bench, display, title)
    except OSError as error:
        raise cannot_write(workdir, error) from error
    finally:
        if progress is None:
            display.close()


def _enter(
    stack: ExitStack,
    experiment: Experiment,
    workdir: Path,
    bench: Workbench,
    manifest: dict[str, Any],
    study_file: str | None,
) -> Result | None:
    """Take hold of the directory until ``stack`` closes, or return the finished result.

    Only the first process does; the others only find out what would hinder them.
    """
    if not is_first():
        bench.program(experiment)
        return None
    finished = finished_result(workdir, manifest)
    if finished is not None:
        return finished
    bench.program(experiment)  # a recipe that does not fit leaves no directory
    if experiment.start_from is not None:
        starting_weights(experiment.start_from, experiment.model)
    make_directory(workdir)
    stack.enter_context(locked(workdir))
    finished = finished_result(workdir, manifest)  # perhaps just now, by another
    if finished is None and not (workdir / "manifest.json").exists():
        manifest["study_file"] = study_file
        write_json(workdir / "manifest.json", manifest | provenance(bench.devices))
    return finished


def run_manifest(experiment: Experiment, bench: Workbench) -> dict[str, Any]:
    """Return what a run's ``manifest.json`` says of its experiment and data.

    Raises:
        UserError: no such dataset, or nothing to start from where it should be.
    """
    dataset = bench.dataset(experiment.dataset)
    start = experiment.start_from
    started_from = None if start is None else digest_of_start(start)
    # Only then do the numbers depend on how many devices there are.
    replicas = bench.devices.count if experiment.batch_norm == "per_replica" else None
    return {
        "kind": "run",
        "identity": identity(
            experiment, dataset.fingerprint, started_from=started_from, replicas=replicas
        ),
        "experiment": encode_experiment(experiment),
        "started_from": started_from,
        "replicas": replicas,
        "dataset": _told_of(dataset),
    }


def _told_of(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "label": dataset.label,
        "classes": list(dataset.classes),
        "fingerprint": dataset.fingerprint,
    }


def finished_result(workdir: Path, manifest: Mapping[str, Any]) -> Result | None:
    """Return the result of the finished run in ``workdir``, None if it is not finished.

    Raises:
        UserError: the directory holds something else than ``manifest`` says.
    """
    check_directory(workdir, manifest)
    return read_json(workdir / "result.json")


def check_directory(workdir: Path, manifest: Mapping[str, Any]) -> None:
    """Refuse a directory that holds something other than ``manifest`` says.

    Raises:
        UserError: with the first field that differs.
    """
    there = read_json(workdir / "manifest.json")
    if there is None or there.get("identity") == manifest["identity"]:
        return
    if there.get("kind") != manifest["kind"]:
        reason = f"a {there.get('kind')}, not a {manifest['kind']}"
    else:
        parts = ("study", "setting", "experiment", "dataset", "started_from", "replicas")
        pairs = ((p, _told(there.get(p)), _told(manifest.get(p))) for p in parts)
        differing = (first_difference(a, b, p) for p, a, b in pairs)
        reason = next((d for d in differing if d), "another identity")
    raise UserError(
        f"{workdir} holds a different {there.get('kind', 'thing')} ({reason}); nothing was "
        f"changed; choose another place with --out"
    )


def _told(part: Any) -> Any:
    """Leave out what is no part of the identity."""
    if not isinstance(part, dict) or "fields" not in part:
        return part
    kept = {k: v for k, v in part["fields"].items() if k not in ("question", "source")}
    return {**part, "fields": kept}
