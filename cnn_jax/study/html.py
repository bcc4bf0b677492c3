"""``report.html``: one file with everything in it, for a laptop, a phone and a printer.

No script, no font, no picture from elsewhere: it reads the same in ten years, offline.
Every text that comes from a study is escaped.
"""

import base64
import re
import struct
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

from cnn_jax.study import wording
from cnn_jax.study.ensembles_section import ensemble_columns, meaning
from cnn_jax.study.stylesheet import CSS
from cnn_jax.study.table import Cell, Column, columns
from cnn_jax.study.wording import NOTHING, percent

Results = Mapping[str, Any]


def page(results: Results, curves: bytes, differences: bytes) -> str:
    """Return the page.

    Args:
        results: as ``cnn_jax.study.results.results`` returns them.
        curves: PNG of the learning curves.
        differences: PNG of the comparison.
    """
    study, table = results["study"], columns(results)
    title = f"{study['title']} · {study['dataset_label']}"
    parts = [
        _header(results),
        _answer(results),
        "<h2>Setting</h2>",
        _facts(_setting(results)),
        "<h2>Results</h2>",
        _results_table(results, [c for c in table if c.key not in _SIZE_AND_SPEED]),
        '<div class="figures">',
        _figure(differences, _comparison_alt(results), _comparison_caption(results)),
        _figure(curves, _curves_alt(results), _CURVES_CAPTION),
        "</div>",
        _ensembles(results),
        "<h2>Size and speed</h2>",
        _results_table(results, [c for c in table if c.key in ("arm", *_SIZE_AND_SPEED)]),
        _published(results),
        "<h2>How to read the numbers</h2>",
        _list(wording.how_to_read(results)),
        _runs(results),
        "<h2>Where this comes from</h2>",
        f"<pre>{escape(results['provenance']['command'])}</pre>",
        '<p class="caption">The command that wrote this report; given again, it goes on '
        "where it was.</p>",
        _facts(_origin(results)),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main>\n</body>\n</html>\n"
    )


_SIZE_AND_SPEED = ("parameters", "removed_trained", "removed_printed", "train", "speed")


def _prose(text: str) -> str:
    """Escape a sentence; what stands between backticks becomes a tag.

    Units and intervals are kept from breaking over two lines.
    """
    whole = re.sub(r", (?=[\u2212\d.]+\])", ",\u00a0", text.replace(" %", "\u00a0%"))
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(whole))


def _list(sentences: Sequence[str]) -> str:
    items = "".join(f"<li>{_prose(sentence)}</li>\n" for sentence in sentences)
    return f'<ul class="notes">\n{items}</ul>'


def _facts(facts: Mapping[str, str]) -> str:
    rows = (f"<dt>{escape(k)}</dt><dd>{_prose(v)}</dd>\n" for k, v in facts.items())
    return f"<dl>\n{''.join(rows)}</dl>"


def _header(results: Results) -> str:
    study = results["study"]
    return (
        f'<header>\n<p class="kicker">Study {escape(study["name"])} · setting '
        f"{escape(study['setting'])}</p>\n<h1>{escape(study['title'])}</h1>\n"
        f'<p class="question">{escape(study["question"])}</p>\n'
        f'<p class="source">Source: {escape(study["study_source"])}</p>\n</header>'
    )


def _answer(results: Results) -> str:
    sentences = "".join(f"<p>{_prose(s)}</p>\n" for s in wording.answer(results))
    return f'<section class="answer">\n<h2>Answer</h2>\n{sentences}</section>'


def _setting(results: Results) -> dict[str, str]:
    study = results["study"]
    sizes = ", ".join(f"{size:,} {name}" for name, size in study["sizes"].items())
    runs = sum(len(arm["runs"]) for arm in results["arms"].values())
    arms = wording.plural(len(results["arms"]), "arm")
    seeds = wording.plural(len(study["seeds"]), "seed")
    return {
        "data": study["dataset_label"],
        "images": sizes,
        "network and recipe": study["setting_description"],
        "runs": f"{arms} \u00d7 {seeds} = {wording.plural(runs, 'run')}",
    }


def _results_table(results: Results, table: Sequence[Column]) -> str:
    groups = [(g, list(members)) for g, members in groupby(table, key=lambda c: c.group)]
    starts = {members[0].key for _, members in groups[1:]}
    top = "".join(
        f'<th class="group{_starts(members[0], starts)}" colspan="{len(members)}" '
        f'scope="colgroup">{escape(group)}</th>'
        for group, members in groups
    )
    heads = "".join(
        f'<th scope="col" class="{_starts(column, starts)}">{escape(column.under)}</th>'
        for column in table
    )
    rows = []
    for i, name in enumerate(results["arms"]):
        first, *rest = [(column, column.cells[i]) for column in table]
        cells = "".join(_data_cell(column, cell, starts) for column, cell in rest)
        mark = ' class="baseline"' if name == results["comparison"]["baseline"] else ""
        rows.append(f'<tr{mark}><th scope="row">{_inside(*first)}</th>{cells}</tr>')
    return _table(f"<tr>{top}</tr>\n<tr>{heads}</tr>", rows, "scroll cards")


def _starts(column: Column, starts: set[str]) -> str:
    return " starts" if column.key in starts else ""


def _data_cell(column: Column, cell: Cell, starts: set[str]) -> str:
    kinds = "nothing" if cell.text == NOTHING and not cell.detail else ""
    left = " left" if column.key == "verdict" else ""
    label = escape(column.title)
    return (
        f'<td class="{kinds}{left}{_starts(column, starts)}" data-label="{label}">'
        f"<span>{_inside(column, cell)}</span></td>"
    )


def _inside(column: Column, cell: Cell) -> str:
    text = escape(cell.text)
    if column.key == "verdict" and cell.text != NOTHING:
        kind = {"higher error": "worse", "lower error": "better"}.get(cell.text, "")
        text = f'<span class="verdict {kind}">{text}</span>'
    details = cell.detail.split("; ") if cell.detail else []
    return text + "".join(
        f'<span class="detail{"" if d[0] in "[(" else " remark"}">{escape(d)}</span>'
        for d in details
    )


def _table(head: str, rows: Sequence[str], kind: str) -> str:
    body = "\n".join(rows)
    return (
        f'<div class="{kind}"><table>\n<thead>\n{head}\n</thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _figure(image: bytes, alt: str, caption: str) -> str:
    # A PNG starts with 16 fixed bytes, then width and height.
    width, height = struct.unpack(">II", image[16:24])
    data = base64.b64encode(image).decode()
    return (
        f'<figure>\n<img src="data:image/png;base64,{data}" width="{width}" '
        f'height="{height}" alt="{escape(alt)}">\n'
        f"<figcaption>{_prose(caption)}</figcaption>\n</figure>"
    )


_CURVES_CAPTION = (
    "Error on the validation images while training: a thin line for each seed, a thick one "
    "for the mean of those that finished; the baseline is black. A cross ends a run that "
    "diverged."
)


def _curves_alt(results: Results) -> str:
    digits = wording.decimals(results)
    ends = "; ".join(
        f"{arm['label']} {percent(arm['validation_error'], digits)} %"
        for arm in results["arms"].values()
    )
    return f"Validation error by epoch. At the end, mean over seeds: {ends}."


def _comparison_alt(results: Results) -> str:
    digits = wording.decimals(results)
    many = results["comparison"]["comparisons"]
    ends = "; ".join(
        f"{arm['label']} {percent(arm['difference']['mean'], digits, sign=True)} "
        f"{wording.interval(arm['difference']['interval'], digits)} "
        f"({wording.verdict(arm, many)})"
        for arm in results["arms"].values()
        if arm["difference"]
    )
    return f"Difference in test error to the baseline, percentage points: {ends}."


def _comparison_caption(results: Results) -> str:
    many = results["comparison"]["comparisons"]
    thin = (
        f", the thin line the one for all {many} comparisons together" if many > 1 else ""
    )
    return (
        "Test error minus the baseline's with the same seed. The ring is the mean, each "
        f"dot a seed, the thick line the 95 % interval{thin}. An interval that holds 0 "
        "resolves nothing."
    )


def _ensembles(results: Results) -> str:
    if "ensembles" not in results:
        return ""
    table = _results_table(results, ensemble_columns(results))
    return f"<h2>Ensembles</h2>\n<p>{_prose(meaning(results))}</p>\n{table}"


def _published(results: Results) -> str:
    if not results["study"]["published"]:
        return ""
    sources = "".join(
        f"<dt>[{i}]</dt><dd>{_prose(source)}</dd>\n"
        for i, source in enumerate(wording.sources(results), start=1)
    )
    return (
        "<h2>Published numbers, and ours</h2>\n<p>The published columns were measured by "
        "others on other data; only the order of the arms can be compared.</p>\n"
        f"<dl>\n{sources}</dl>\n{_list(wording.ranking(results))}"
    )


def _runs(results: Results) -> str:
    names = ("arm", "seed", "test error %", "wrong", "validation %", "training %", "steps")
    heads = (*names, "resumed at step", "images/s", "parameters (SHA-256)")
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    rows = [
        _run(arm["label"], run, timing, wording.decimals(results))
        for name, arm in results["arms"].items()
        for run, timing in zip(arm["runs"], results["timing"][name]["runs"], strict=True)
    ]
    table = _table(f"<tr>{head}</tr>", rows, "scroll")
    return f"<details>\n<summary>Every run</summary>\n{table}\n</details>"


def _run(label: str, run: Mapping[str, Any], timing: Mapping[str, Any], digits: int) -> str:
    attempts = timing.get("attempts") or [timing]
    resumed = [attempt.get("resumed_at_step") or 0 for attempt in attempts]
    error = percent(run["test_error"], digits)
    if run["status"] == "diverged":
        error = f"diverged at step {wording.count(run['diverged_at_step'])}"
    wrong = f"{wording.count(run['test_wrong'])} of {wording.count(run['test_examples'])}"
    texts = [
        str(run["seed"]),
        error,
        NOTHING if run["test_wrong"] is None else wrong,
        percent(run["validation_error"], digits),
        percent(run["train_error"], digits),
        wording.count(run["steps"]),
        ", ".join(f"{step:,}" for step in resumed if step) or NOTHING,
        wording.count(timing["images_per_second"]),
    ]
    sha = str(run["parameters_sha256"] or "")
    cells = "".join(f"<td>{escape(text)}</td>" for text in texts)
    short = f'<td><code title="{escape(sha)}">{escape(sha[:12]) or NOTHING}</code></td>'
    return f'<tr><th scope="row">{escape(label)}</th>{cells}{short}</tr>'


def _origin(results: Results) -> dict[str, str]:
    origin, study = results["provenance"], results["study"]
    return {
        "commit": f"`{origin['commit']}`",
        "versions": ", ".join(f"{k} {v}" for k, v in origin["versions"].items()),
        "device": origin["device"],
        "started": origin["started"],
        "time": wording.duration(origin["wall_seconds"]),
        "study's identity": f"`{study['identity']}`",
        "data's fingerprint": f"`{study['dataset_fingerprint']}`",
    }
