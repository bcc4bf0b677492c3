"""The ensembles of a report in words and columns; see ``study/ensembles.py``."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cnn_jax.study import wording
from cnn_jax.study.table import Cell, Column, p_value, pipes
from cnn_jax.study.wording import NOTHING, interval, percent

if TYPE_CHECKING:
    from rich.table import Table

Results = Mapping[str, Any]


def meaning(results: Results) -> str:
    """Return one sentence that says what the numbers are."""
    found = results["ensembles"]
    many = found["comparisons"]
    seeds = {len(arm["seeds"]) for arm in found["arms"].values()}
    size = wording.plural(seeds.pop(), "seed") if len(seeds) == 1 else "finished seeds"
    text = (
        f"Each arm's {size} as one classifier, the mean of their softmax outputs: the "
        "intervals say what other test images would change, not what other seeds would "
        "(95 %, Wilson's for an error"
    )
    if many:
        adjusted = f", adjusted by Holm for {many} arms" if many > 1 else ""
        text += (
            f", Tango's for a difference on the same images; p is McNemar's exact "
            f"test{adjusted}"
        )
    return f"{text})."


def ensemble_columns(results: Results) -> tuple[Column, ...]:
    """Return the columns, one cell for each arm of the report.

    An arm of which no run finished has no ensemble, and dashes.
    """
    found, arms = results["ensembles"], results["arms"]
    digits, many = wording.decimals(results), found["comparisons"]
    entries = [found["arms"].get(name) for name in arms]
    group = "ensemble's test error %"
    shown = [
        Column("arm", "arm", "", "arm", tuple(Cell(a["label"]) for a in arms.values())),
        Column(
            "error",
            f"{group} [95 %]",
            group,
            "error [test\u00a0images]",
            tuple(_error(entry, digits) for entry in entries),
        ),
        Column(
            "members",
            "its members' mean %",
            group,
            "members' mean",
            tuple(Cell(percent(e and e["members_error"], digits)) for e in entries),
        ),
    ]
    if not many:
        return tuple(shown)
    base = arms[found["baseline"]]["label"]
    base_seeds = found["arms"][found["baseline"]]["seeds"]
    group = f"difference to the ensemble of {base}, points"
    compared = [entry and entry["difference"] for entry in entries]
    p_title = "Holm p" if many > 1 else "McNemar p"
    columns = (
        (
            "difference",
            f"difference to {base}, points [95 %]",
            "paired [95\u00a0%]",
            [_difference(entry, base_seeds, digits) for entry in entries],
        ),
        (
            "holm",
            p_title,
            p_title.replace(" ", "\u00a0"),
            [Cell(p_value(entry)) for entry in compared],
        ),
        (
            "verdict",
            "verdict",
            "verdict",
            [Cell(wording.verdict({"difference": entry}, many)) for entry in compared],
        ),
    )
    shown += [Column(k, title, group, under, tuple(c)) for k, title, under, c in columns]
    return tuple(shown)


def _error(entry: Mapping[str, Any] | None, digits: int) -> Cell:
    if entry is None:
        return Cell(NOTHING)
    return Cell(percent(entry["error"], digits), interval(entry["interval"], digits))


def _difference(
    entry: Mapping[str, Any] | None, base_seeds: Sequence[int], digits: int
) -> Cell:
    """Return the difference; with a remark where some seeds of the two are left out."""
    difference = entry and entry["difference"]
    if entry is None or difference is None:
        return Cell(NOTHING)
    details, common = [interval(difference["interval"], digits)], difference["seeds"]
    if not common == entry["seeds"] == base_seeds:
        details.append(wording.plural(len(common), "common seed"))
    return Cell(percent(difference["mean"], digits, sign=True), "; ".join(details))


def markdown_lines(results: Results) -> list[str]:
    """Return the section of ``table.md``, a blank line last; nothing without ensembles."""
    if "ensembles" not in results:
        return []
    table = pipes(ensemble_columns(results))
    return ["## Ensembles", "", meaning(results), "", *table, ""]


def ensembles_table(results: Results) -> "Table":
    """Return the table for a terminal of 100 columns."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    view = Table(
        title=Text("Ensembles"),
        caption=Text(meaning(results)),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    columns = ensemble_columns(results)
    short = {"error": "ensemble %", "members": "members %", "difference": "difference"}
    for column in columns:
        view.add_column(Text(short.get(column.key, column.title)))
    for cells in zip(*(column.cells for column in columns), strict=True):
        view.add_row(*(Text(f"{c.text} {c.detail}".replace("; ", "\n")) for c in cells))
    return view
