"""Every link of ``docs/lectures.md`` leads somewhere, and every name is there."""

import ast
import json
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "lectures.md"
LINK = re.compile(r"\[`?([^]`]+)`?\]\(([^)]+)\)")
EXERCISE = re.compile(r"\[`test_exercise`\]\(\.\./tests/test_exercises\.py\) \(([^)]*)\)")
# How many statements a lecture has on the page, how many errors; a row lost is noticed.
ROWS = {"1": 25, "2": 23, "3": 28, "4": 29, "5": 34}


def _sections():
    """Return the table rows of each numbered section, without heading and rule."""
    found = {}
    for part in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        rows = [line for line in part.splitlines() if line.startswith("| ")]
        found[part[0]] = rows[1:]
    return found


@cache
def _names(path):
    """Return what a Python file defines, and the names that it declares as text."""
    names = {path.stem}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
    return names


def _exercises():
    return {e["id"] for e in json.loads((ROOT / "tests" / "exercises.json").read_text())}


def test_every_link_leads_to_a_file_that_has_the_name():
    links = LINK.findall(PAGE.read_text())
    inside = [(name, target) for name, target in links if not target.startswith("#")]
    assert len(inside) > 200
    missing = []
    for name, target in inside:
        path = (PAGE.parent / target).resolve()
        if not path.is_file() or (path.suffix == ".py" and name not in _names(path)):
            missing.append(f"{name} in {target}")
    assert not missing, missing


def test_links_within_the_page_lead_to_its_headings():
    page = PAGE.read_text()
    headings = re.findall(r"^## (.*)$", page, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}
    inside = {t[1:] for _, t in LINK.findall(page) if t.startswith("#")}
    assert inside == anchors


@pytest.mark.parametrize("section", ROWS)
def test_no_row_is_lost_and_each_is_checked_or_says_why_not(section):
    rows = _sections()[section]
    assert len(rows) == ROWS[section]
    for row in rows:
        *_, where, checked = (cell.strip() for cell in row.strip("|").split(" | "))
        assert where or checked, row
        if "../tests/" not in checked:
            # What can't be computed: history, wording, or what this version lacks.
            assert section == "5" or "../" not in where, row


def test_every_exercise_is_on_the_page_or_one_of_a_family_that_is():
    told = {
        name.strip("` ")
        for names in EXERCISE.findall(PAGE.read_text())
        for name in names.split(",")
    }
    families = tuple(name[:-1] for name in told if name.endswith("*"))
    known = _exercises()
    assert len(known) == 48
    assert {name for name in told if not name.endswith("*")} <= known
    left = {i for i in known - told if not i.startswith(families)}
    assert left == set(), left
