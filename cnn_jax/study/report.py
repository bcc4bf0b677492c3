"""``write_report``: every file of a report, from the facts and the runs of a study."""

import json
from collections.abc import Sequence
from pathlib import Path

from cnn_jax.study.figures import comparison, learning_curves
from cnn_jax.study.html import page
from cnn_jax.study.results import ArmRuns, Results, StudyFacts, results
from cnn_jax.study.table import markdown
from cnn_jax.training.run_directory import write_atomically


def write_report(directory: Path, facts: StudyFacts, arms: Sequence[ArmRuns]) -> Results:
    """Write the report into ``directory`` and return the content of ``results.json``.

    ``learning_curves.png``, ``comparison.png``, ``report.html``, ``table.md``, and
    ``results.json`` last; each file is either the old one or the new one, whole.

    Raises:
        ValueError: runs that were tested on different numbers of images.
        OSError: the directory cannot be written.
    """
    found = results(facts, arms)
    curves, differences = learning_curves(found, arms), comparison(found)
    text = json.dumps(found, indent=1, allow_nan=False) + "\n"
    files = {
        "learning_curves.png": curves,
        "comparison.png": differences,
        "report.html": page(found, curves, differences).encode(),
        "table.md": markdown(found).encode(),
        "results.json": text.encode(),
    }
    for name, content in files.items():
        write_atomically(directory / name, content)
    return found
