"""The table of a study: one list of columns, for markdown, the terminal and the page."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from cnn_jax.study import wording
from cnn_jax.study.wording import NOTHING, interval, percent

if TYPE_CHECKING:
    from rich.table import Table

Results = Mapping[str, Any]


class Cell(NamedTuple):
    """One value and, where it has one, its interval or remark."""

    text: str
    detail: str = ""


class Column(NamedTuple):
    """One column of the table.

    Attributes:
        key: for programs.
        title: heading where the column stands alone.
        group: heading over several columns, empty for none.
        under: heading below ``group``.
        cells: one an arm.
    """

    key: str
    title: str
    group: str
    under: str
    cells: tuple[Cell, ...]


def columns(results: Results) -> tuple[Column, ...]:
    """Return every column of the full table, arms in the order of the study.

    Columns that would say nothing are left out: removed parameters where no arm changes
    their number, intervals for all comparisons together where there is only one.
    """
    arms, found = list(results["arms"].values()), list[Column]()
    digits, many = wording.decimals(results), results["comparison"]["comparisons"]

    def add(key: str, title: str, group: str, under: str, cells: Iterable[Cell]) -> None:
        found.append(Column(key, title, group, under, tuple(cells)))

    add("arm", "arm", "", "arm", (_name(n, a) for n, a in results["arms"].items()))
    group = "test error %"
    add("test", f"{group} [95 %]", group, "mean [seeds]", (_error(a, digits) for a in arms))
    wilson = (Cell(interval(a["test_error"]["wilson"], digits) or NOTHING) for a in arms)
    add("wilson", "test-set interval %", group, "[test\u00a0images]", wilson)
    if any(arm["difference"] for arm in arms):
        base = results["arms"][results["comparison"]["baseline"]]["label"]
        group = f"difference to {base}, points"
        own = (_difference(a, digits) for a in arms)
        add("difference", f"{group} [95 %]", group, "paired [95\u00a0%]", own)
        if many > 1:
            title = f"all {many} together"
            add("together", title, group, title, (_together(a, digits) for a in arms))
            p_values = (Cell(p_value(arm["difference"])) for arm in arms)
            add("holm", "Holm p", group, "Holm\u00a0p", p_values)
        verdicts = (Cell(wording.verdict(arm, many)) for arm in arms)
        add("verdict", "verdict", group, "verdict", verdicts)
    for index, column in enumerate(results["study"]["published"]):
        values = [arm["published"][index] for arm in arms]
        shown = [f"{v:g}" for v in values if v is not None]
        places = max((len(v.partition(".")[2]) for v in shown), default=0)
        cells = (Cell(NOTHING if v is None else f"{v:.{places}f}") for v in values)
        mark = f"[{wording.sources(results).index(column['source']) + 1}]"
        title = column["title"]
        add(f"published_{index}", f"{title} {mark}", f"published {mark}", title, cells)
    group, counts = "parameters", (Cell(f"{arm['parameters']:,}") for arm in arms)
    add("parameters", group, group, "trained here", counts)
    if wording.changes_size(results):
        for kind, where in (("trained", "here"), ("printed", "printed network")):
            entries = [arm["parameters_removed"][kind] for arm in arms]
            if any(entries):
                title, cells = f"removed, {where}", (_removed(entry) for entry in entries)
                add(f"removed_{kind}", title, group, title, cells)
    train = (Cell(percent(arm["train_error"], digits)) for arm in arms)
    add("train", "training error %", "training", "error %", train)
    speeds = (results["timing"][name]["images_per_second"] for name in results["arms"])
    add("speed", "images/s", "training", "images/s", (Cell(_speed(s)) for s in speeds))
    return tuple(found)


def _name(name: str, arm: Mapping[str, Any]) -> Cell:
    return Cell(arm["label"], "" if arm["label"] == name else name)


def _removed(entry: Mapping[str, Any] | None) -> Cell:
    text, _, detail = wording.removed(entry).partition(" (")
    return Cell(text, f"({detail}" if detail else "")


def _error(arm: Mapping[str, Any], digits: int) -> Cell:
    error = arm["test_error"]
    details = [interval(error["interval"], digits)]
    if error["seeds"] == 1:
        details = ["one seed: no interval"]
    details.append(wording.ran(arm))
    return Cell(percent(error["mean"], digits), "; ".join(d for d in details if d))


def _difference(arm: Mapping[str, Any], digits: int) -> Cell:
    entry = arm["difference"]
    if entry is None:
        return Cell(NOTHING)
    mean = percent(entry["mean"], digits, sign=True)
    return Cell(mean, interval(entry["interval"], digits))


def _together(arm: Mapping[str, Any], digits: int) -> Cell:
    entry = arm["difference"]
    return Cell((entry and interval(entry["simultaneous"], digits)) or NOTHING)


def p_value(entry: Mapping[str, Any] | None) -> str:
    """Return the adjusted p-value of a difference to the baseline."""
    if entry is None or entry["holm_p_value"] is None:
        return NOTHING
    p = entry["holm_p_value"]
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _speed(value: float | None) -> str:
    """Return three significant digits: a clock on a shared machine knows no more."""
    return NOTHING if value is None else f"{float(f'{value:.3g}'):,.0f}"


def markdown(results: Results, further: Sequence[str] = ()) -> str:
    """Return ``table.md``: two aligned tables, the answer, sources and notes.

    Args:
        results: as ``cnn_jax.study.results.results`` returns them.
        further: lines of another section, which goes before the command.
    """
    study = results["study"]
    table = {column.key: column for column in columns(results)}
    errors = [key for key in table if key in _ERRORS or key.startswith("published_")]
    rest = ["arm", *(key for key in table if key not in errors)]
    lines = [
        f"# {study['title']}",
        "",
        f"{study['question']} ({study['study_source']})",
        "",
        f"Setting `{study['setting']}`, {study['dataset_label']}: "
        f"{study['setting_description']}",
        "",
        *(f"- {sentence}" for sentence in wording.answer(results)),
        "",
        *pipes([table[key] for key in errors]),
        "",
        *pipes([table[key] for key in rest]),
        "",
        *(f"[{i}] {source}  " for i, source in enumerate(wording.sources(results), 1)),
        *([""] if study["published"] else []),
        *(f"- {sentence}" for sentence in wording.ranking(results)),
        *(f"- {sentence}" for sentence in wording.how_to_read(results)),
        "",
        *further,
        f"Command: `{results['provenance']['command']}`",
    ]
    return "\n".join(lines) + "\n"


_ERRORS = ("arm", "test", "difference", "together", "holm", "verdict")


def pipes(chosen: Sequence[Column]) -> list[str]:
    """Return the lines of a markdown table."""
    rows = [[column.title for column in chosen]]
    rows += [
        [f"{cell.text} {cell.detail}".strip() for cell in cells]
        for cells in zip(*(column.cells for column in chosen), strict=True)
    ]
    rows = [[text.replace("|", "\\|").replace("\n", " ") for text in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(chosen))]
    lines = [
        "| " + " | ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return [lines[0], rule, *lines[1:]]


def _parts(cell: Cell) -> list[str]:
    return [cell.text, *cell.detail.split("; ")[:1]]


def _two_lines(cell: Cell) -> str:
    """Keep value and interval on one line, a remark below them."""
    return f"{cell.text} {cell.detail}".strip().replace("; ", "\n")


_SHORT = {"test": "test %", "difference": "difference", "train": "train %"}


def terminal_table(results: Results) -> "Table":
    """Return the table for a terminal of 100 columns; the page holds the rest."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    study = results["study"]
    table = {column.key: column for column in columns(results)}
    keys = ["arm", "parameters", "test", "difference", "verdict", "train"]
    chosen = [table[key] for key in keys if key in table]
    view = Table(
        title=Text(f"{study['title']} · {study['dataset_label']}"),
        caption=Text(" ".join(wording.answer(results)).replace("`", "")),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for column in chosen:
        title = _SHORT.get(column.key, column.title)
        right = column.key in ("parameters", "train")
        # Narrower than this, an interval would be broken in two.
        least = max(len(part) for cell in column.cells for part in _parts(cell))
        justify: Literal["right", "left"] = "right" if right else "left"
        view.add_column(Text(title), justify=justify, min_width=min(least, 20))
    for cells in zip(*(column.cells for column in chosen), strict=True):
        view.add_row(
            *(
                Text(cell.text if column.key == "arm" else _two_lines(cell))
                for column, cell in zip(chosen, cells, strict=True)
            )
        )
    return view
