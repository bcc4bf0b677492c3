"""``run_study``: all arms, all seeds, the report; goes on where it was interrupted."""

import dataclasses
import math
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from cnn_jax.codec import digest
from cnn_jax.data.datasets import DATASETS
from cnn_jax.errors import UserError
from cnn_jax.experiment.declaration import (
    Experiment,
    Where,
    encode_experiment,
    with_epochs,
)
from cnn_jax.experiment.program import Workbench
from cnn_jax.experiment.provenance import provenance
from cnn_jax.experiment.run import check_directory, run
from cnn_jax.layers.tracing import count_parameters
from cnn_jax.study.results import ArmRuns, StudyFacts
from cnn_jax.study.study import Arm, Study
from cnn_jax.training.progress import Progress, make_progress
from cnn_jax.training.run_directory import (
    cannot_write,
    locked,
    make_directory,
    read_json,
    write_json,
)
from cnn_jax.training.writers import read_rows


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


def study_directory(study: Study, setting: str, baseline: Experiment) -> Path:
    """Return the default place: ``runs/NAME/SETTING``.

    A baseline that is not the declared one appends 8 hex digits of its identity.
    """
    declared = study.settings[setting]
    suffix = "" if baseline == declared else f"-{_fields_digest(baseline)[:8]}"
    return Path("runs") / study.name / f"{setting}{suffix}"


def _fields_digest(experiment: Experiment) -> str:
    fields = dict(encode_experiment(experiment)["fields"])
    del fields["question"], fields["source"]
    return digest(fields)


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
) -> StudyOutcome:
    """Train every arm with every seed and write the report.

    Runs that are finished in ``workdir`` are only read. Other seeds or arms extend the
    directory; anything else that changes a number is refused there.

    Args:
        study: what to run.
        workdir: None for ``study_directory``.
        where: data directory, progress, checkpoint interval.
        setting: None for the study's first.
        seeds: runs an arm, seeds 0, 1, ...; None for the study's.
        arms: names, ``("all",)``, or None for the study's default.
        epochs: None for the setting's; another length stretches the schedule.
        study_file: the user's file, copied into the directory.

    Raises:
        UserError: unknown names, a directory that holds another study, broken data, ...
    """
    where = where or Where()
    count = study.seeds if seeds is None else seeds
    if count < 1:
        raise UserError(f"seeds is {count}; at least 1 is needed")
    setting, baseline = study.setting(setting)
    if epochs is not None:
        baseline = with_epochs(baseline, epochs)
    chosen = study.select(arms)
    experiments = {name: arm.edit(baseline) for name, arm in chosen.items()}
    for experiment in experiments.values():
        encode_experiment(experiment)  # refuses what could not be recorded
    workdir = Path(workdir or study_directory(study, setting, baseline))
    bench = Workbench(where)
    dataset = bench.dataset(baseline.dataset)
    fields = encode_experiment(baseline)
    manifest = {
        "kind": "study",
        "identity": digest(
            [study.name, setting, _fields_digest(baseline), dataset.fingerprint]
        ),
        "study": study.name,
        "setting": setting,
        "experiment": fields,
        "dataset": {"label": dataset.label, "fingerprint": dataset.fingerprint},
    }
    try:
        make_directory(workdir)
        with locked(workdir):
            check_directory(workdir, manifest)
            write_json(workdir / "manifest.json", manifest)
            if study_file is not None:
                shutil.copyfile(study_file, workdir / study_file.name)
            todo = [
                (name, seed)
                for name in experiments
                for seed in range(count)
                if not (_run_directory(workdir, name, seed) / "result.json").exists()
            ]
            progress = make_progress(where.progress, runs=len(todo))
            try:
                _train(workdir, experiments, bench, progress, todo, study_file)
            finally:
                progress.close()
            return _report(
                study,
                setting,
                baseline,
                chosen,
                experiments,
                count,
                workdir,
                bench,
                len(todo),
            )
    except OSError as error:
        raise cannot_write(workdir, error) from error


def _run_directory(workdir: Path, arm: str, seed: int) -> Path:
    return workdir / f"{arm}-seed{seed}"


def _train(
    workdir: Path,
    experiments: dict[str, Experiment],
    bench: Workbench,
    progress: Progress,
    todo: list[tuple[str, int]],
    study_file: Path | None,
) -> None:
    for number, (name, seed) in enumerate(todo, start=1):
        run(
            dataclasses.replace(experiments[name], seed=seed),
            _run_directory(workdir, name, seed),
            workbench=bench,
            progress=progress,
            title=f"{name} seed {seed} ({number} of {len(todo)})",
            study_file=study_file.name if study_file else None,
        )


def _report(
    study: Study,
    setting: str,
    baseline: Experiment,
    arms: dict[str, Arm],
    experiments: dict[str, Experiment],
    seeds: int,
    workdir: Path,
    bench: Workbench,
    trained: int,
) -> StudyOutcome:
    from cnn_jax.study.report import write_report

    report = workdir / "report.html"
    written = read_json(workdir / "results.json")
    if not trained and report.exists() and written is not None:
        same = list(written["arms"]) == list(arms) and written["seeds"] == list(
            range(seeds)
        )
        if same:
            return StudyOutcome(written, report, 0)
    runs = {
        name: [
            read_json(_run_directory(workdir, name, seed) / "result.json") or {}
            for seed in range(seeds)
        ]
        for name in arms
    }
    counts = {name: count_parameters(experiments[name].model) for name in arms}
    printed = _printed_counts(study, arms)
    dataset = bench.dataset(baseline.dataset)
    origin = provenance()
    facts = StudyFacts(
        name=study.name,
        title=study.title,
        question=study.question,
        study_source=study.source,
        setting=setting,
        setting_description=describe(study, setting, baseline),
        dataset_label=dataset.label,
        dataset_fingerprint=dataset.fingerprint,
        sizes=runs[study.baseline][0]["sizes"],
        baseline=study.baseline,
        seeds=tuple(range(seeds)),
        published=study.published,
        printed_network=_printed_name(study),
        identity=(read_json(workdir / "manifest.json") or {})["identity"],
        command=origin["command"],
        commit=origin["commit"],
        versions=origin["versions"],
        device=origin["device"],
        started=origin["started"],
        wall_seconds=math.fsum(r["wall_seconds"] for rows in runs.values() for r in rows),
        notes=(*study.notes, *_notes(study, setting, baseline)),
    )
    arm_runs = [
        ArmRuns(
            name=name,
            label=arm.label,
            parameters=counts[name],
            removed_trained=counts[study.baseline] - counts[name],
            removed_printed=printed[study.baseline] - printed[name] if printed else None,
            printed_parameters=printed[name] if printed else None,
            runs=tuple(runs[name]),
            curves=tuple(
                tuple(read_rows(_run_directory(workdir, name, seed) / "metrics.jsonl"))
                for seed in range(seeds)
            ),
        )
        for name, arm in arms.items()
    ]
    return StudyOutcome(write_report(workdir, facts, arm_runs), report, trained)


def _printed_counts(study: Study, arms: dict[str, Arm]) -> dict[str, int]:
    if study.printed is None:
        return {}
    printed = study.settings[study.printed]
    return {name: count_parameters(arm.edit(printed).model) for name, arm in arms.items()}


def _printed_name(study: Study) -> str | None:
    if study.printed is None:
        return None
    model = study.settings[study.printed].model
    size = " x ".join(str(n) for n in model.input_shape)
    return f"{type(model).__name__}, {size}, {model.num_classes} classes"


def describe(study: Study, setting: str, baseline: Experiment) -> str:
    """Return the setting in a sentence, with the numbers of its recipe."""
    height, width, channels = baseline.model.input_shape
    subset = (
        f", {baseline.train_examples:,} training images" if baseline.train_examples else ""
    )
    recipe = (
        f"{type(baseline.model).__name__} at {height} x {width} x {channels}{subset}, "
        f"{baseline.epochs:g} epochs, batch {baseline.batch_size}, {baseline.optimizer}, "
        f"{baseline.schedule}"
    )
    return f"{study.descriptions.get(setting, DATASETS[baseline.dataset].title)}: {recipe}"


def _notes(study: Study, setting: str, baseline: Experiment) -> tuple[str, ...]:
    declared = study.settings[setting].epochs
    if baseline.epochs == declared:
        return ()
    return (
        f"--epochs {baseline.epochs:g} instead of {declared:g}: the learning-rate schedule "
        f"was stretched in proportion.",
    )
