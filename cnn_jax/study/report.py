"""``write_report``: every file of a report, from the facts and the runs of a study."""

import contextlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cnn_jax.study.figures import comparison, learning_curves
from cnn_jax.study.html import page
from cnn_jax.study.results import ArmRuns, Results, StudyFacts, results
from cnn_jax.study.table import markdown


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
        _write(directory / name, content)
    return found


def _write(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp lets nobody else read
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
