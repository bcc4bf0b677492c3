"""From finished runs to what the report is made of."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnn_jax.codec import digest
from cnn_jax.data.dataset import Dataset
from cnn_jax.data.datasets import describe_dataset
from cnn_jax.experiment.provenance import command
from cnn_jax.study.plan import StudyPlan
from cnn_jax.study.results import ArmRuns, StudyFacts
from cnn_jax.study.study import Study
from cnn_jax.training.run_directory import read_json
from cnn_jax.training.writers import read_rows

Found = dict[tuple[str, int], tuple[Path, dict[str, Any]]]
"""Finished runs: (arm, seed) -> (directory, result)."""


def stamp_of(plan: StudyPlan, found: Found, predictions: Sequence[Any] = ()) -> str:
    """Return a digest of all that the report tells, but for clock and machine.

    Args:
        plan: of the study.
        found: its finished runs.
        predictions: digests of what its ensembles are made of; empty without ensembles.
    """
    study = plan.study
    return digest(
        {
            "texts": [study.title, study.question, study.source, list(study.notes)],
            "setting": describe(plan),
            "published": [
                [column.title, column.source, dict(column.values)]
                for column in study.published
            ],
            "arms": [[name, arm.label] for name, arm in study.arms.items()],
            "parameters": [dict(plan.parameters), dict(plan.printed_parameters)],
            "runs": [
                [name, seed, result["status"], result["test_wrong"], result["steps"]]
                for (name, seed), (_, result) in sorted(found.items())
            ],
        }
        | ({"predictions": list(predictions)} if predictions else {})
    )


def study_facts(
    plan: StudyPlan, found: Found, dataset: Dataset, study_identity: str
) -> StudyFacts:
    """Return what the report says of the study as a whole.

    Commit, device and versions are those recorded when the runs were started.
    """
    study = plan.study
    origins = [
        read_json(directory / "manifest.json") or {} for directory, _ in found.values()
    ]
    results = [result for _, result in found.values()]
    return StudyFacts(
        name=study.name,
        title=study.title,
        question=study.question,
        study_source=study.source,
        setting=plan.setting,
        setting_description=describe(plan),
        dataset_label=dataset.label,
        dataset_fingerprint=dataset.fingerprint,
        sizes=results[0]["sizes"],
        baseline=study.baseline,
        seeds=tuple(sorted({seed for _, seed in found})),
        published=study.published,
        printed_network=_printed_network(study),
        identity=study_identity,
        command=command(),
        commit=_all_of(origins, "commit"),
        versions={
            package: ", ".join(sorted({o["versions"].get(package, "-") for o in origins}))
            for package in origins[0]["versions"]
        },
        device=_all_of(origins, "device"),
        started=min(origin["started"] for origin in origins),
        wall_seconds=math.fsum(result["wall_seconds"] for result in results),
        notes=(*study.notes, *_length_note(plan)),
    )


def _all_of(origins: list[dict[str, Any]], key: str) -> str:
    return ", ".join(sorted({origin[key] for origin in origins}))


def arm_runs(plan: StudyPlan, found: Found) -> list[ArmRuns]:
    """Return the finished runs by arm, in the order of the table."""
    counts, printed = plan.parameters, plan.printed_parameters
    baseline = plan.study.baseline
    arms = []
    for name, arm in plan.study.arms.items():
        runs = [found[pair] for pair in sorted(found) if pair[0] == name]
        if not runs:
            continue
        arms.append(
            ArmRuns(
                name=name,
                label=arm.label,
                parameters=counts[name],
                removed_trained=counts[baseline] - counts[name],
                removed_printed=printed[baseline] - printed[name] if printed else None,
                printed_parameters=printed[name] if printed else None,
                runs=tuple(result for _, result in runs),
                curves=tuple(tuple(read_rows(d / "metrics.jsonl")) for d, _ in runs),
            )
        )
    return arms


def _printed_network(study: Study) -> str | None:
    if study.printed is None:
        return None
    model = study.settings[study.printed].model
    size = " x ".join(str(n) for n in model.input_shape)
    return f"{type(model).__name__}, {size}, {model.num_classes} classes"


def describe(plan: StudyPlan) -> str:
    """Return the setting in words, with the numbers of its recipe."""
    baseline = plan.baseline
    height, width, channels = baseline.model.input_shape
    subset = (
        f", {baseline.train_examples:,} training images" if baseline.train_examples else ""
    )
    title = describe_dataset(baseline.dataset).title
    title = plan.study.descriptions.get(plan.setting, title)
    return (
        f"{title}: {type(baseline.model).__name__} at "
        f"{height} x {width} x {channels}{subset}, "
        f"{baseline.epochs:g} epochs, batch {baseline.batch_size}, "
        f"{_in_words(baseline.optimizer)}, {_in_words(baseline.schedule)}"
    )


def _in_words(spec: Any) -> str:
    """Return a description's class and fields, e.g. ``Sgd (momentum 0.9, ...)``.

    Switches, and what is not used, are left out.
    """
    fields = (
        (field.name.replace("_", " "), getattr(spec, field.name))
        for field in dataclasses.fields(spec)
    )
    told = [
        f"{name} {_value_in_words(value)}"
        for name, value in fields
        if not isinstance(value, bool) and value is not None and value != ()
    ]
    return f"{type(spec).__name__} ({', '.join(told)})"


def _value_in_words(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return ", ".join(_value_in_words(item) for item in value)
    return _in_words(value) if dataclasses.is_dataclass(value) else str(value)


def _length_note(plan: StudyPlan) -> tuple[str, ...]:
    declared = plan.study.settings[plan.setting].epochs
    if plan.baseline.epochs == declared:
        return ()
    return (
        f"--epochs {plan.baseline.epochs:g} instead of {declared:g}: the learning-rate "
        f"schedule was stretched in proportion.",
    )
