"""``run_study``: all arms, all seeds, the report; goes on where it was interrupted."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from cnn_jax.experiment.declaration import Where
from cnn_jax.experiment.program import Workbench
from cnn_jax.experiment.run import check_directory, finished_result, run, run_manifest
from cnn_jax.study.ensembles import (
    digests,
    ensembles_of,
    kept_predictions,
    predict_missing,
)
from cnn_jax.study.facts import Found, arm_runs, stamp_of, study_facts
from cnn_jax.study.plan import StudyPlan, plan_study
from cnn_jax.study.study import Study
from cnn_jax.training.interruption import Interrupted
from cnn_jax.training.progress import Progress, make_progress
from cnn_jax.training.run_directory import (
    cannot_write,
    locked,
    make_directory,
    read_json,
    write_json,
)


class StudyOutcome(NamedTuple):
    """What a study gave.

    Attributes:
        results: the content of ``results.json``.
        report: path of ``report.html``.
        trained: runs that were trained or gone on with now; 0 if all were finished.
    """

    results: dict[str, Any]
    report: Path
    trained: int


def run_study(
    study: Study,
    workdir: Path | str | None = None,
    where: Where | None = None,
    *,
    setting: str | None = None,
    seeds: int | None = None,
    arms: tuple[str, ...] | None = None,
    epochs: float | None = None,
    study_file: Path | None = None,
    ensembles: bool = False,
) -> StudyOutcome:
    """Train every arm with every seed and write the report.

    Runs that are finished in ``workdir`` are only read, and reported even when they were
    not asked for this time. Other seeds or arms extend the directory; anything else that
    changes a number is refused there.

    Args:
        study: what to run.
        workdir: None for ``StudyPlan.directory``.
        where: data directory, progress, checkpoint interval.
        setting: None for the study's first.
        seeds: runs an arm, seeds 0, 1, ...; None for the study's.
        arms: names, ``("all",)``, or None for the study's default.
        epochs: None for the setting's; another length stretches the schedule.
        study_file: the user's file, copied into the directory.
        ensembles: evaluate the finished runs that have no test predictions yet. The
            report has a section on ensembles whenever all finished runs have some.

    Raises:
        UserError: unknown names, a directory that holds another study, broken data, ...
    """
    where = where or Where()
    plan = plan_study(study, setting=setting, seeds=seeds, arms=arms, epochs=epochs)
    workdir = plan.directory if workdir is None else Path(workdir)
    bench = Workbench(where)
    manifest = plan.manifest(bench.dataset(plan.baseline.dataset))
    try:
        check_directory(workdir, manifest)
        make_directory(workdir)
        with locked(workdir):
            check_directory(workdir, manifest)
            written = read_json(workdir / "manifest.json") or {}
            write_json(workdir / "manifest.json", written | manifest)
            if study_file is not None and study_file.parent != workdir.resolve():
                shutil.copyfile(study_file, workdir / study_file.name)
            asked = [(name, seed) for name in plan.asked for seed in range(plan.seeds)]
            finished = _finished(plan, workdir, bench)
            todo = [pair for pair in asked if pair not in finished]
            progress = make_progress(where.progress, runs=len(todo))
            try:
                with bench.interruption:
                    _train(plan, workdir, bench, progress, todo, study_file)
            finally:
                progress.close()
            if ensembles:
                dataset = bench.dataset(plan.baseline.dataset)
                with bench.interruption:
                    predict_missing(_finished(plan, workdir, bench), dataset, bench)
            return _report(plan, workdir, bench, len(todo))
    except OSError as error:
        raise cannot_write(workdir, error) from error


def _run_directory(workdir: Path, arm: str, seed: int) -> Path:
    return workdir / f"{arm}-seed{seed}"


def _finished(plan: StudyPlan, workdir: Path, bench: Workbench) -> Found:
    """Return the finished runs of the study's arms that lie in the directory.

    Raises:
        UserError: an arm that was asked for means something else than when it was run.
    """
    found: Found = {}
    for name, experiment in plan.experiments.items():
        seeds = [
            int(p.name.rpartition("seed")[2]) for p in workdir.glob(f"{name}-seed[0-9]*")
        ]
        for seed in sorted(seeds):
            directory = _run_directory(workdir, name, seed)
            manifest = run_manifest(dataclasses.replace(experiment, seed=seed), bench)
            result = finished_result(directory, manifest)
            if result is not None:
                found[name, seed] = (directory, result)
    return found


def _train(
    plan: StudyPlan,
    workdir: Path,
    bench: Workbench,
    progress: Progress,
    todo: list[tuple[str, int]],
    study_file: Path | None,
) -> None:
    declared = plan.study.settings[plan.setting].epochs
    if todo and plan.baseline.epochs != declared:
        progress.note(
            f"--epochs {plan.baseline.epochs:g} instead of {declared:g}: the learning-rate "
            f"schedule is stretched in proportion"
        )
    for number, (name, seed) in enumerate(todo, start=1):
        reason = bench.reason_to_stop()
        if reason is not None:
            raise Interrupted(reason, 0)
        run(
            dataclasses.replace(plan.experiments[name], seed=seed),
            _run_directory(workdir, name, seed),
            workbench=bench,
            progress=progress,
            title=f"{name} seed {seed} ({number} of {len(todo)})",
            study_file=study_file.name if study_file else None,
        )


def _report(plan: StudyPlan, workdir: Path, bench: Workbench, trained: int) -> StudyOutcome:
    """Write the report, unless one that says the same is there."""
    report = workdir / "report.html"
    found = _finished(plan, workdir, bench)
    manifest = read_json(workdir / "manifest.json") or {}
    dataset = bench.dataset(plan.baseline.dataset)
    kept = kept_predictions(found, dataset)
    stamp = stamp_of(plan, found, digests(kept))
    written = read_json(workdir / "results.json")
    if written is None or manifest.get("report") != stamp or not report.exists():
        from cnn_jax.study.report import write_report

        facts = study_facts(plan, found, dataset, manifest["identity"])
        together = ensembles_of(plan.study.baseline, kept) if kept else None
        written = write_report(workdir, facts, arm_runs(plan, found), together)
        write_json(workdir / "manifest.json", manifest | {"report": stamp})
    return StudyOutcome(written, report, trained)
