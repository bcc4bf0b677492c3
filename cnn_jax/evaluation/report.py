"""An evaluation as JSON, tables and figures in a directory.

evaluation.json   every number but the confusion matrix; written last
predictions.npz   what the network said of each example
per_class.csv     error of each class
confusion.csv     how often each class was taken for each
confusion.png, reliability.png, worst.png
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cnn_jax.errors import UserError
from cnn_jax.evaluation.comparison import Comparison
from cnn_jax.evaluation.evaluate import Evaluation
from cnn_jax.evaluation.figures import confusion_figure, mistakes_figure, reliability_figure
from cnn_jax.evaluation.measures import Unknown, confusion, finite, most_confused
from cnn_jax.evaluation.predictions import (
    FILE,
    Predictions,
    Setting,
    labels_digest,
    load_predictions,
    load_setting,
    save_predictions,
)
from cnn_jax.maths.intervals import CONFIDENCE
from cnn_jax.training.run_directory import (
    cannot_write,
    make_directory,
    read_json,
    write_atomically,
    write_json,
)

Json = dict[str, Any]


def evaluation_json(evaluation: Evaluation) -> Json:
    """Return what ``evaluation.json`` holds; fractions, nats, seconds.

    What can't be given is null, with its reason under ``"reasons"``.
    """
    predictions = evaluation.predictions
    numbers = {
        "top1_error": evaluation.top1,
        "top5_error": evaluation.top5,
        "negative_log_likelihood": evaluation.nll,
        "calibration": evaluation.calibration,
    }
    return {
        "kind": "evaluation",
        **asdict(predictions.setting),
        "examples": len(predictions.labels),
        "classes": len(predictions.classes),
        "labels_sha256": labels_digest(predictions),
        "not_finite": int((~finite(predictions)).sum()),
        "confidence": CONFIDENCE,
        **_known(numbers),
        "most_confused": [confused._asdict() for confused in most_confused(predictions)],
        "worst_mistakes": [
            {key: value for key, value in mistake._asdict().items() if key != "image"}
            for mistake in evaluation.mistakes
        ],
        "per_class": [_plain(one) for one in evaluation.per_class],
        "seconds": evaluation.speed and round(evaluation.speed.seconds, 3),
        "images_per_second": evaluation.speed
        and round(evaluation.speed.images_per_second, 1),
    }


def comparison_json(comparison: Comparison) -> Json:
    """Return a comparison for programs; differences are first minus second."""
    numbers = {
        "top1_error": comparison.top1,
        "top5_error": comparison.top5,
        "negative_log_likelihood": comparison.nll,
    }
    return {
        "kind": "comparison",
        "first": asdict(comparison.first.setting),
        "second": asdict(comparison.second.setting),
        "examples": len(comparison.first.labels),
        "confidence": CONFIDENCE,
        "interval": "Tango's score interval; Student's paired interval for the likelihood",
        "test": "McNemar's exact test, two-sided",
        **_known(numbers),
    }


def write_evaluation(directory: Path, evaluation: Evaluation, extra: Json) -> Json:
    """Write all files of an evaluation and return what ``evaluation.json`` holds.

    Every file is written atomically; an earlier evaluation there is replaced.

    Args:
        directory: made if it is not there.
        evaluation: what to write.
        extra: further entries of ``evaluation.json``.

    Raises:
        UserError: the directory can't be written.
    """
    make_directory(directory)
    told = evaluation_json(evaluation) | extra
    predictions = evaluation.predictions
    try:
        (directory / "evaluation.json").unlink(missing_ok=True)
        save_predictions(directory / FILE, predictions)
        write_atomically(directory / "per_class.csv", _per_class_csv(evaluation))
        write_atomically(directory / "confusion.csv", _confusion_csv(predictions))
        for name, figure in (
            ("confusion.png", confusion_figure),
            ("reliability.png", reliability_figure),
            ("worst.png", mistakes_figure),
        ):
            write_atomically(directory / name, figure(evaluation))
        write_json(directory / "evaluation.json", told)
    except OSError as error:
        raise cannot_write(directory, error) from error
    return told


def check_place(directory: Path, setting: Mapping[str, Any]) -> None:
    """Refuse a directory that holds a run, or the evaluation of something else.

    Args:
        directory: need not exist.
        setting: fields of the evaluation that is to be written there.

    Raises:
        UserError: with what is there.
    """
    if (directory / "manifest.json").exists():
        raise UserError(f"{directory} holds a run or a study; choose another --out")
    there = read_json(directory / "evaluation.json")
    for key, value in setting.items() if there else ():
        if there and there.get(key) != value:
            raise UserError(
                f"{directory} holds another evaluation ({key}: {there.get(key)} there, "
                f"{value} here); nothing was changed; choose another place with --out"
            )


def find_predictions(place: Path | str) -> list[Path]:
    """Return the predictions files that a path stands for.

    Args:
        place: a predictions file, the directory of an evaluation, or of a run that was
            evaluated (once or several times).

    Raises:
        UserError: there are none; the message says how to get some.
    """
    path = Path(place)
    if path.is_file():
        return [path]
    if (path / FILE).is_file():
        return [path / FILE]
    found = sorted((path / "evaluation").glob(f"*/{FILE}"))
    if not found:
        if not path.is_dir():
            raise UserError(f"{path} does not exist")
        raise UserError(
            f"{path} has no predictions yet; make them with: cnn-jax evaluate {path}"
        )
    return found


def matching_predictions(
    first: Path | str, second: Path | str
) -> tuple[Predictions, Predictions]:
    """Return the predictions of two places that were made in the same way.

    Where a place holds several evaluations, exactly one pair must be of the same data,
    split and protocol. Two single evaluations are taken as they are.

    Raises:
        UserError: no such pair, or several; the message lists what there is.
    """
    a, b = find_predictions(first), find_predictions(second)
    if len(a) == len(b) == 1:
        return load_predictions(a[0]), load_predictions(b[0])
    pairs = [(x, y) for x in a for y in b if _alike(load_setting(x), load_setting(y))]
    if len(pairs) != 1:
        what = "several evaluations" if pairs else "no evaluation"
        there = [
            f"{place} has {_names(found)}" for place, found in ((first, a), (second, b))
        ]
        raise UserError(
            f"{what} in common: {'; '.join(there)}; name one, e.g. {a[0].parent}"
        )
    return load_predictions(pairs[0][0]), load_predictions(pairs[0][1])


def _alike(first: Setting, second: Setting) -> bool:
    keys = ("fingerprint", "split", "protocol")
    return all(getattr(first, key) == getattr(second, key) for key in keys)


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(path.parent.name for path in paths)


def _known(numbers: Mapping[str, Any]) -> Json:
    reasons = {k: v.reason for k, v in numbers.items() if isinstance(v, Unknown)}
    known = {k: None if k in reasons else _plain(v) for k, v in numbers.items()}
    return {**known, "reasons": reasons}


def _plain(value: Any) -> Any:
    """Return named tuples as dictionaries; an interval is the list of its ends."""
    if hasattr(value, "_asdict"):
        fields = value._asdict()
        if tuple(fields) == ("low", "high"):
            return [value.low, value.high]
        return {key: _plain(item) for key, item in fields.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _per_class_csv(evaluation: Evaluation) -> str:
    rows: list[Sequence[Any]] = [
        (
            "class",
            "images",
            "wrong",
            "error",
            "low",
            "high",
            "guessed",
            "taken_for",
            "times",
        )
    ]
    for one in evaluation.per_class:
        error = one.rate
        numbers: Sequence[Any] = (0, 0, "", "", "")
        if error:
            numbers = (error.examples, error.wrong, error.error, *error.interval)
        rows.append((one.name, *numbers, one.guessed, *(one.taken_for or ("", ""))))
    return _csv(rows)


def _confusion_csv(predictions: Predictions) -> str:
    counts = confusion(predictions)
    header = ("true \\ guess", *predictions.classes, "no guess")
    rows = zip(predictions.classes, counts.tolist(), strict=True)
    return _csv([header, *((name, *row) for name, row in rows)])


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
