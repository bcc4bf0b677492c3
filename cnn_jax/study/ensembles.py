"""The seeds of an arm as an ensemble, on the test images; opt-in, ``--ensembles``.

The rest of a report asks what other seeds would change. Here every arm is one classifier,
the mean of its seeds' softmax outputs, and the question is what other *test images* would
change: Wilson's interval for an error, Tango's and McNemar's exact test for a difference.

The predictions of a run lie in ``RUN/evaluation/DATASET-test-one-crop``, where ``cnn-jax
evaluate`` puts them and ``cnn-jax compare`` finds them.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.dataset import Dataset
from cnn_jax.errors import UserError
from cnn_jax.evaluation.comparison import PairedRate, compare
from cnn_jax.evaluation.ensemble import ensemble
from cnn_jax.evaluation.evaluate import evaluate
from cnn_jax.evaluation.measures import guesses, rate
from cnn_jax.evaluation.predictions import (
    FILE,
    Predictions,
    load_predictions,
    load_setting,
    save_predictions,
)
from cnn_jax.experiment.load import load_run
from cnn_jax.experiment.program import Workbench
from cnn_jax.maths.intervals import CONFIDENCE
from cnn_jax.study.facts import Found
from cnn_jax.study.statistics import holm
from cnn_jax.training.interruption import Interrupted
from cnn_jax.training.run_directory import make_directory

SPLIT, PROTOCOL = "test", "one-crop"

Kept = dict[tuple[str, int], Path]
"""Predictions of finished runs: (arm, seed) -> file."""


def predict_missing(found: Found, dataset: Dataset, bench: Workbench) -> None:
    """Evaluate the finished runs that have no predictions of this dataset on disk.

    An image is evaluated as the run itself did, so the errors are those it reports.

    Raises:
        UserError: a run without a readable checkpoint, or a directory that can't be
            written.
        Interrupted: it was asked to stop; what is written is kept.
    """
    for name_and_seed, (directory, _) in _finished(found).items():
        path = _place(directory, dataset)
        if _fits(path, dataset):
            continue
        reason = bench.reason_to_stop()
        if reason is not None:
            raise Interrupted(reason, 0)
        loaded = load_run(directory)
        evaluation = evaluate(
            loaded.model,
            loaded.variables,
            loaded.preprocessing,
            dataset,
            PROTOCOL,
            split=SPLIT,
            image_size=loaded.experiment.image_shape[:2],
            devices=bench.where.devices,
            label="{} seed {}".format(*name_and_seed),
            progress=bench.where.progress,
        )
        make_directory(path.parent)
        save_predictions(path, evaluation.predictions)


def kept_predictions(found: Found, dataset: Dataset) -> Kept:
    """Return the predictions of all finished runs; empty if one of them has none.

    An ensemble of the runs that happen to have predictions would be another one, so the
    report has ensembles of all finished runs or none.
    """
    finished = _finished(found)
    kept = {pair: _place(where, dataset) for pair, (where, _) in finished.items()}
    return kept if all(_fits(path, dataset) for path in kept.values()) else {}


def digests(kept: Kept) -> list[list[Any]]:
    """Return the SHA-256 of every file, for the report's stamp."""
    told = []
    for (name, seed), path in sorted(kept.items()):
        with path.open("rb") as file:
            told.append([name, seed, hashlib.file_digest(file, "sha256").hexdigest()])
    return told


def ensembles_of(baseline: str, kept: Kept) -> dict[str, Any]:
    """Return ``ensembles`` of the predictions on disk.

    Raises:
        UserError: a damaged file (deleted, it is made again), or different examples.
    """
    loaded: dict[str, dict[int, Predictions]] = {}
    for (name, seed), path in kept.items():
        loaded.setdefault(name, {})[seed] = load_predictions(path)
    return ensembles(baseline, loaded)


def ensembles(
    baseline: str, predictions: Mapping[str, Mapping[int, Predictions]]
) -> dict[str, Any]:
    """Return what ``results.json`` says under ``"ensembles"``; JSON-able, fractions.

    A difference is that of the ensembles of the seeds which the arm and the baseline have
    in common: a vote of five would beat one of three whatever the arms are.

    ``verdict`` is ``"resolved"`` if Tango's interval leaves 0 out and the exact test
    rejects after Holm's adjustment, ``"not resolved together"`` if only before it.

    Args:
        baseline: name of the arm that the others are compared with.
        predictions: arm -> seed -> test predictions of its finished runs.

    Raises:
        UserError: predictions of different examples.
    """
    base = predictions.get(baseline, {})
    pairs: dict[str, tuple[list[int], PairedRate]] = {}
    for name, own in predictions.items():
        common = [seed for seed in sorted(own) if seed in base]
        if name != baseline and common:
            arm, reference = (ensemble([p[s] for s in common]) for p in (own, base))
            pairs[name] = common, compare(arm, reference).top1
    adjusted = holm([pair.p_value for _, pair in pairs.values()]) if pairs else ()
    differences = {
        name: {"to": baseline, "seeds": common} | _difference(pair, float(p))
        for (name, (common, pair)), p in zip(pairs.items(), adjusted, strict=True)
    }
    return {
        "split": SPLIT,
        "protocol": PROTOCOL,
        "combined_by": "mean softmax",
        "baseline": baseline,
        "confidence": CONFIDENCE,
        "comparisons": len(pairs),
        "intervals": "Wilson; Tango for differences",
        "p_values": "McNemar, exact; Holm",
        "arms": {
            name: _arm(own) | {"difference": differences.get(name)}
            for name, own in predictions.items()
        },
    }


def _arm(own: Mapping[int, Predictions]) -> dict[str, Any]:
    seeds = sorted(own)
    together = _error(ensemble([own[seed] for seed in seeds]))
    return {
        "seeds": seeds,
        "error": together.error,
        "wrong": together.wrong,
        "examples": together.examples,
        "interval": list(together.interval),
        "members_error": float(np.mean([_error(own[seed]).error for seed in seeds])),
    }


def _error(predictions: Predictions) -> Any:
    return rate(guesses(predictions) != predictions.labels)


def _difference(pair: PairedRate, holm_p_value: float) -> dict[str, Any]:
    verdict = "not resolved"
    if pair.resolved:
        clear = holm_p_value < 1 - CONFIDENCE
        verdict = "resolved" if clear else "not resolved together"
    return {
        "mean": pair.difference,
        "interval": list(pair.interval),
        "only_arm_wrong": pair.only_first_wrong,
        "only_baseline_wrong": pair.only_second_wrong,
        "p_value": pair.p_value,
        "holm_p_value": holm_p_value,
        "verdict": verdict,
    }


def _finished(found: Found) -> Found:
    return {
        pair: (directory, result)
        for pair, (directory, result) in found.items()
        if result["status"] == "finished"
    }


def _place(directory: Path, dataset: Dataset) -> Path:
    return directory / "evaluation" / f"{dataset.name}-{SPLIT}-{PROTOCOL}" / FILE


def _fits(path: Path, dataset: Dataset) -> bool:
    """Return whether predictions of this dataset's content can be read from a file."""
    try:
        setting = load_setting(path)
    except UserError:
        return False
    there = (setting.fingerprint, setting.split, setting.protocol)
    return there == (dataset.fingerprint, SPLIT, PROTOCOL)
