"""The table as markdown and on a terminal, and the sentences around it."""

import io
import re

import pytest
from rich.console import Console

from cnn_jax.study import wording
from cnn_jax.study.results import results
from cnn_jax.study.table import columns, markdown, terminal_table


def on_terminal(found, width=100):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(terminal_table(found))
    return console.file.getvalue()


@pytest.fixture
def found(made_up):
    return results(made_up.facts(), made_up.arms())


def cell(found, key, row):
    [column] = [column for column in columns(found) if column.key == key]
    return column.cells[row]


def test_a_row_holds_the_numbers_with_their_intervals(found):
    assert cell(found, "arm", 1) == ("-7", "without_7")
    # 43 of 1800; the interval is worked out in test_results.
    assert cell(found, "test", 0) == ("2.39", "[1.91, 2.87]")
    assert cell(found, "difference", 4).text == "+5.78"  # 29.4 - 8.6 images of 360
    assert cell(found, "difference", 0) == ("–", "")
    assert cell(found, "removed_trained", 2) == ("9,000", "(45.0 %)")
    assert cell(found, "removed_printed", 3) == ("adds 500,000", "(0.8 %)")
    assert cell(found, "train", 0).text == "0.96"
    assert cell(found, "speed", 0).text == "4,320"
    assert cell(found, "published_0", 1).text == "40.0"
    assert cell(found, "published_1", 0).text == "–"
    assert cell(found, "verdict", 1).text == "not resolved"
    assert cell(found, "verdict", 2).text == "higher error"


def test_a_diverged_run_is_shown_with_its_step(found):
    assert "1 of 5 diverged at step 37" in cell(found, "test", 3).detail
    assert "1 of 5 diverged at step 37" in on_terminal(found)


def test_columns_that_would_say_nothing_are_left_out(made_up):
    made_up.removed, made_up.published = {}, ()
    made_up.counts = {"full": [9, 8, 9], "without_7": [9, 9, 10]}
    found = results(made_up.facts(), made_up.arms())
    keys = {column.key for column in columns(found)}
    assert not keys & {"removed_trained", "removed_printed", "together", "holm"}
    assert not any(key.startswith("published") for key in keys)
    assert "removed," not in markdown(found)


def test_markdown_rows_have_the_same_columns_as_their_heading(found):
    text = markdown(found)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 * (2 + 5)
    for table in (rows[:7], rows[7:]):
        assert len({len(row) for row in table}) == 1
        assert len({row.count("|") for row in table}) == 1
    assert "top-1 % [1]" in rows[0]
    assert "[1] A paper, Table 3 (its own data)" in text
    assert "[2] A lecture" in text


def test_a_bar_in_a_label_does_not_break_the_markdown(made_up):
    made_up.labels["without_7"] = "a|b"
    text = markdown(results(made_up.facts(), made_up.arms()))
    assert r"a\|b" in text


@pytest.mark.parametrize("seeds", [1, 5])
def test_the_terminal_table_fits_100_columns_without_breaking_an_interval(made_up, seeds):
    made_up.counts = {name: c[:seeds] for name, c in made_up.counts.items()}
    text = on_terminal(results(made_up.facts(), made_up.arms()))
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "…" not in text
    table = text[: text.index("the baseline")]
    assert len(re.findall(r"\[[\d.]+, [\d.]+\]", table)) >= (5 if seeds == 5 else 0)
    for line in table.splitlines():
        assert line.count("[") == line.count("]")


def test_the_answer_names_what_is_resolved_and_what_is_not(found):
    text = " ".join(wording.answer(found))
    assert "`full`, the baseline, gets 2.39 % of the test images wrong" in text
    assert re.search(r"Higher error than the baseline: `-3,4,6,7` \+5\.78 points", text)
    assert "Not resolved: `-7` 0.00 points [−" in text
    assert re.search(r"Differences under [\d.]+ to [\d.]+ points could not", text)
    assert "`-3,4` 1 of 5 diverged at step 37" in text


def test_the_answer_of_one_seed_claims_nothing(made_up):
    made_up.counts = {"full": [9], "without_7": [30]}
    text = " ".join(wording.answer(results(made_up.facts(), made_up.arms())))
    assert "single seed, so without an interval and not resolved: `-7` +5.83" in text
    assert "Higher error" not in text


def test_the_answer_says_when_an_arm_is_better(made_up):
    made_up.counts = {"full": [30, 31, 30, 32, 30], "without_7": [9, 10, 9, 9, 8]}
    text = " ".join(wording.answer(results(made_up.facts(), made_up.arms())))
    assert "Lower error than the baseline: `-7` −6.00 points" in text


def test_the_answer_says_when_the_baseline_never_finished(made_up):
    made_up.counts["full"] = [None] * 5
    text = " ".join(wording.answer(results(made_up.facts(), made_up.arms())))
    assert "No run of `full`, the baseline, finished" in text
    assert "all 5 diverged at step 37;" in text


def test_the_ranking_is_worded_with_what_is_resolved(found, made_up):
    first, second = wording.ranking(found)
    assert "`-7` < `full` < `-6,7` < `-3,4` < `-3,4,6,7`; here: `full` = `-7`" in first
    assert "9 of 10 pairs of arms stand in the same order" in first
    assert re.search(r"resolve \d of them: \d as published, 0 the other way", first)
    assert "too few arms" in second
    made_up.counts = {name: c[:1] for name, c in made_up.counts.items()}
    [first, _] = wording.ranking(results(made_up.facts(), made_up.arms()))
    assert "no evidence either way" in first


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (wording.percent(0.02361, 2), "2.36"),
        (wording.percent(-0.004, 2, sign=True), "−0.40"),
        (wording.percent(-1e-9, 2, sign=True), "0.00"),
        (wording.percent(None, 2), "–"),
        (wording.interval([-0.001, 0.02], 1), "[−0.1, 2.0]"),
        (wording.removed({"count": 1_696_512, "percent": 2.78, "left": 1}), None),
        (wording.duration(59.6), "1 min 0 s"),
        (wording.duration(3 * 3600 + 61), "3 h 1 min"),
        (wording.plural(1, "seed"), "1 seed"),
    ],
)
def test_formats(made, text):
    assert made == (text or "1,696,512 (2.8 %)")
