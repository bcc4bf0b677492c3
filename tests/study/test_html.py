"""The page: one file, well-formed, escaped, with everything in it that was promised."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from cnn_jax.study.html import page
from cnn_jax.study.results import results

VOID = {"meta", "img", "br"}
# Eight fixed bytes, the header's length and name, then 4 x 2 pixels.
PNG = b"\x89PNG\r\n\x1a\n" + bytes(3) + b"\rIHDR" + bytes([0, 0, 0, 4, 0, 0, 0, 2]) + b"..."


class Reader(HTMLParser):
    """Collects the text and fails where tags do not match."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def read(html):
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    reader.text = " ".join("".join(reader.text).replace("\u00a0", " ").split())
    return reader


@pytest.fixture
def html(made_up):
    return page(results(made_up.facts(), made_up.arms()), PNG, PNG + b"second")


def test_question_setting_and_origin_stand_on_the_page(html, made_up):
    text = read(html).text
    facts = made_up.facts()
    for expected in (
        *(facts.title, facts.question, facts.study_source, facts.setting_description),
        *(facts.dataset_label, facts.command, facts.commit, facts.device, facts.started),
        *("jax 0.10.2", "2 min 3 s", "1,257 train, 180 validation, 360 test"),
        *("5 arms × 5 seeds = 25 runs", "The numbers are made up."),
        *("A paper, Table 3 (its own data)", "A lecture", facts.printed_network),
    ):
        assert expected in text, expected


def test_the_numbers_of_every_arm_stand_on_the_page(html):
    text = read(html).text
    for expected in ("2.39", "[1.91, 2.87]", "+5.78", "higher error", "not resolved"):
        assert expected in text
    assert "1 of 5 diverged at step 37" in text
    assert "9 of 360" in text
    assert "diverged at step 37" in text


def test_the_page_needs_nothing_from_elsewhere(html):
    reader = read(html)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in reader.tags}
    assert "http" not in html
    assert "@import" not in html
    images = [attrs for tag, attrs in reader.tags if tag == "img"]
    assert [len(image["alt"]) > 20 for image in images] == [True, True]
    for image, content in zip(images, (PNG + b"second", PNG), strict=True):
        kind, data = image["src"].split(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data) == content
        assert (image["width"], image["height"]) == ("4", "2")


def test_the_page_fits_a_phone_and_the_dark(html):
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert "prefers-color-scheme: dark" in html
    cells = [
        attrs for tag, attrs in read(html).tags if tag == "td" and "data-label" in attrs
    ]
    assert cells
    assert all(cell["data-label"] for cell in cells)


def test_every_text_is_escaped(made_up):
    evil = '<script>alert("1")</script>&'
    made_up.labels["without_7"] = evil
    facts = made_up.facts(
        **dict.fromkeys(
            ("title", "question", "study_source", "setting_description", "command"), evil
        ),
        **dict.fromkeys(("dataset_label", "device", "started", "commit", "setting"), evil),
        versions={evil: evil},
        notes=(evil,),
        published=tuple(replace(c, title=evil, source=evil) for c in made_up.published),
    )
    html = page(results(facts, made_up.arms()), PNG, PNG)
    assert "<script" not in html
    assert 'alert("' not in html
    assert "alert(" in read(html).text


def test_resumed_runs_show_every_step_they_were_resumed_at(made_up):
    made_up.resumed = 1120
    arms = made_up.arms()
    assert "1,120" in read(page(results(made_up.facts(), arms), PNG, PNG)).text
    attempts = [{"resumed_at_step": step} for step in (0, 40, 275)]
    runs = tuple({**run, "attempts": attempts} for run in arms[0].runs)
    arms[0] = replace(arms[0], runs=runs)
    text = read(page(results(made_up.facts(), arms), PNG, PNG)).text
    assert "40, 275" in text


def test_one_seed_and_no_published_numbers_make_a_page_too(made_up):
    made_up.counts = {"full": [9], "without_7": [None]}
    made_up.published = ()
    text = read(page(results(made_up.facts(), made_up.arms()), PNG, PNG)).text
    assert "one seed: no interval" in text
    assert "Published" not in text
    assert re.search(r"Where this comes from", text)
