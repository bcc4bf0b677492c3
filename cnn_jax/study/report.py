"""``write_report``: every file of a report, from the facts and the runs of a study."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnn_jax.study.ensembles_section import markdown_lines
from cnn_jax.study.figures import comparison, learning_curves
from cnn_jax.study.html import page
from cnn_jax.study.results import ArmRuns, Results, StudyFacts, results
from cnn_jax.study.table import markdown
from cnn_jax.training.run_directory import write_atomically


def write_report(
    directory: Path,
    facts: StudyFacts,
    arms: Sequence[ArmRuns],
    ensembles: dict[str, Any] | None = None,
) -> Results:
    """Write the report into ``directory`` and return the content of ``results.json``.

    ``learning_curves.png``, ``comparison.png``, ``report.html``, ``table.md``, and
    ``results.json`` last; each file is either the old one or the new one, whole.

    Args:
        directory: of the study.
        facts: what is said besides the numbers.
        arms: the runs.
        ensembles: as ``study.ensembles.ensembles`` returns them; a section of their own.

    Raises:
        ValueError: runs that were tested on different numbers of images.
        OSError: the directory cannot be written.
    """
    found = results(facts, arms)
    if ensembles is not None:
        found["ensembles"] = ensembles
    curves, differences = learning_curves(found, arms), comparison(found)
    text = json.dumps(found, indent=1, allow_nan=False) + "\n"
    files = {
        "learning_curves.png": curves,
        "comparison.png": differences,
        "report.html": page(found, curves, differences).encode(),
        "table.md": markdown(found, markdown_lines(found)).encode(),
        "results.json": text.encode(),
    }
    for name, content in files.items():
        write_atomically(directory / name, content)
    return found
