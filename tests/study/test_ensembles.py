"""Ensembles of an arm's seeds: the numbers, the section, and one study from the start."""

import json
from math import sqrt

import numpy as np
import pytest

from cnn_jax import UserError
from cnn_jax.data.datasets import open_dataset
from cnn_jax.evaluation.predictions import (
    FILE,
    Predictions,
    Setting,
    load_predictions,
    save_predictions,
)
from cnn_jax.study import ensembles as module
from cnn_jax.study.ensembles import digests, ensembles, kept_predictions
from cnn_jax.study.ensembles_section import (
    ensemble_columns,
    ensembles_table,
    markdown_lines,
    meaning,
)
from cnn_jax.study.html import page
from cnn_jax.study.report import write_report
from cnn_jax.study.results import results
from cnn_jax.study.runner import run_study
from cnn_jax.study.table import markdown
from tests.study.test_html import PNG, read
from tests.study.test_runner import STUDY
from tests.tiny import QUIET

IMAGES = 40


def predictions(of_class_1, seed=0, **setting):
    """Return predictions of images that all show class 0, from what class 1 is given."""
    p = np.asarray(of_class_1, np.float64)
    told = {
        "model": f"seed {seed}",
        "dataset": "made-up",
        "dataset_label": "Made up",
        "fingerprint": "0f",
        "split": "test",
        "protocol": "one-crop",
    }
    return Predictions(
        np.log(np.stack([1 - p, p], axis=-1)).astype(np.float32),
        np.zeros(len(p), np.int32),
        ("zero", "one"),
        tuple(f"test/{i}" for i in range(len(p))),
        Setting(**(told | setting)),
    )


def votes(*wrong):
    """Return one seed an argument, of which the images before it are wrong for sure."""
    return {
        seed: predictions(np.where(np.arange(IMAGES) < count, 0.9, 0.1), seed)
        for seed, count in enumerate(wrong)
    }


def wilson(wrong, examples, z=1.959963984540054):
    p = wrong / examples
    middle = (p + z**2 / (2 * examples)) / (1 + z**2 / examples)
    half = z / (1 + z**2 / examples)
    half *= sqrt(p * (1 - p) / examples + z**2 / (4 * examples**2))
    return middle - half, middle + half


def test_seeds_vote_with_their_probabilities_and_not_with_their_guesses():
    # Image 0: 0.9, 0.4, 0.4 are 0.567 on average: wrong, though two of three are right.
    # Image 1: 0.6, 0.6, 0.1 are 0.433: right, though two are wrong. Image 2: all right.
    own = {
        seed: predictions(row, seed)
        for seed, row in enumerate([[0.9, 0.6, 0.2], [0.4, 0.6, 0.2], [0.4, 0.1, 0.2]])
    }
    found = ensembles("full", {"full": own})["arms"]["full"]
    assert (found["wrong"], found["examples"], found["seeds"]) == (1, 3, [0, 1, 2])
    assert found["error"] == 1 / 3
    assert found["members_error"] == pytest.approx((2 + 1 + 0) / 9)
    assert found["interval"] == pytest.approx(wilson(1, 3), abs=1e-12)
    assert found["difference"] is None


def test_differences_are_tested_on_the_images_and_adjusted_over_the_arms():
    arms = {
        "full": votes(4, 4, 4),
        "worse": votes(16, 16, 1),  # two of three at 0.9 outvote one at 0.1
        "close": votes(10, 10, 10),
        "same": votes(4, 4, 4),
    }
    found = ensembles("full", arms)
    assert found["comparisons"] == 3
    assert found["arms"]["worse"]["error"] == 16 / IMAGES
    assert found["arms"]["worse"]["members_error"] == pytest.approx(11 / IMAGES)
    entries = {n: found["arms"][n]["difference"] for n in ("worse", "close", "same")}
    # Every discordant image goes one way: McNemar's exact p is 2 / 2^n.
    p_values = {"worse": 2 / 2**12, "close": 2 / 2**6, "same": 1.0}
    for name, p in p_values.items():
        assert entries[name]["p_value"] == pytest.approx(p, rel=1e-12)
    # Holm: the smallest times 3, the next times 2, the largest as it is.
    assert entries["worse"]["holm_p_value"] == pytest.approx(3 * p_values["worse"])
    assert entries["close"]["holm_p_value"] == pytest.approx(2 * p_values["close"])
    assert entries["same"]["holm_p_value"] == 1.0
    assert entries["worse"]["mean"] == 12 / IMAGES
    assert entries["worse"]["only_arm_wrong"] == 12
    assert entries["worse"]["only_baseline_wrong"] == 0
    # 2 / 2^6 is below 0.05, twice that is not.
    verdicts = ["resolved", "not resolved together", "not resolved"]
    assert [entry["verdict"] for entry in entries.values()] == verdicts
    low, high = entries["same"]["interval"]
    assert low < 0 < high
    json.dumps(found, allow_nan=False)


def test_the_interval_of_a_difference_is_tangos():
    # Both ends solve the score equation of Tango (1998) for b = 12, c = 0, N = 40.
    [low, high] = ensembles("full", {"full": votes(4), "worse": votes(16)})["arms"][
        "worse"
    ]["difference"]["interval"]
    b, c, n = 12, 0, IMAGES
    for d in (low, high):
        big_b = -b - c + (2 * n - b + c) * d
        q = (sqrt(big_b**2 + 8 * n * c * d * (1 - d)) - big_b) / (4 * n)
        z = (b - c - n * d) / sqrt(n * (2 * q + d * (1 - d)))
        assert abs(z) == pytest.approx(1.959963984540054, abs=1e-6)
    assert low < 12 / 40 < high


def test_a_difference_is_that_of_the_common_seeds():
    arms = {"full": votes(4, 4, 30, 30, 30), "fewer": votes(6, 6)}
    found = ensembles("full", arms)["arms"]
    assert found["full"]["error"] == 30 / IMAGES  # all five vote
    assert found["fewer"]["difference"]["seeds"] == [0, 1]
    assert found["fewer"]["difference"]["mean"] == 2 / IMAGES


def test_without_the_baseline_nothing_is_compared():
    found = ensembles("full", {"worse": votes(16, 16)})
    assert found["comparisons"] == 0
    assert found["arms"]["worse"]["difference"] is None
    other = {"worse": {0: predictions([0.1] * 9)}, "full": {0: predictions([0.1] * 8)}}
    with pytest.raises(UserError, match="9 and 8 examples"):
        ensembles("full", other)


@pytest.fixture
def reported(made_up):
    """A report of made-up runs, with one arm that has no finished run."""
    made_up.counts["without_3_4"] = [None] * 5
    names = [name for name in made_up.counts if name != "without_3_4"]
    counts = ((4, 4, 4), (16, 16, 16), (4, 4, 5), (10, 10))
    arms = {n: votes(*c) for n, c in zip(names, counts, strict=True)}
    return results(made_up.facts(), made_up.arms()) | {"ensembles": ensembles("full", arms)}


def test_the_section_shows_each_arm_with_its_verdict(reported):
    columns = {column.key: column.cells for column in ensemble_columns(reported)}
    assert [cell.text for cell in columns["arm"]] == [
        "full",
        "-7",
        "-6,7",
        "-3,4",
        "-3,4,6,7",
    ]
    assert [cell.text for cell in columns["error"]] == [
        "10.00",
        "40.00",
        "10.00",
        "–",
        "25.00",
    ]
    assert columns["members"][2].text == "10.83"  # 13 of 120
    assert [cell.text for cell in columns["difference"]][1:4] == ["+30.00", "0.00", "–"]
    assert columns["difference"][4].detail.endswith("; 2 common seeds")
    assert [cell.text for cell in columns["verdict"]][:4] == [
        "–",
        "higher error",
        "not resolved",
        "–",
    ]
    assert "what other test images would change, not what other seeds would" in meaning(
        reported
    )


def test_the_page_stays_well_formed_and_has_the_section_only_with_ensembles(reported):
    text = read(page(reported, PNG, PNG)).text
    for expected in ("Ensembles", "McNemar's exact test", "+30.00", "2 common seeds"):
        assert expected in text
    lines = markdown_lines(reported)
    assert "## Ensembles" in markdown(reported, lines)
    assert ensembles_table(reported).row_count == 5
    plain = {key: value for key, value in reported.items() if key != "ensembles"}
    assert "Ensembles" not in page(plain, PNG, PNG)
    assert markdown(plain, markdown_lines(plain)) == markdown(plain)


def test_one_arm_has_a_table_without_a_comparison(made_up):
    made_up.counts = {"full": [9, 7]}
    found = results(made_up.facts(), made_up.arms())
    found["ensembles"] = ensembles("full", {"full": votes(4, 4)})
    assert [c.key for c in ensemble_columns(found)] == ["arm", "error", "members"]
    assert "McNemar" not in meaning(found)


def test_only_predictions_of_the_same_data_for_every_finished_run_count(tmp_path):
    dataset = open_dataset("synthetic", None)
    place = f"evaluation/{dataset.name}-test-one-crop"
    found = {
        ("full", 0): (tmp_path / "a", {"status": "finished"}),
        ("full", 1): (tmp_path / "b", {"status": "finished"}),
        ("full", 2): (tmp_path / "c", {"status": "diverged"}),
    }
    for name in "ab":
        assert kept_predictions(found, dataset) == {}
        (tmp_path / name / place).mkdir(parents=True)
        fitting = predictions([0.1], fingerprint=dataset.fingerprint)
        save_predictions(tmp_path / name / place / FILE, fitting)
    kept = kept_predictions(found, dataset)
    assert list(kept) == [("full", 0), ("full", 1)]
    before = digests(kept)
    other = predictions([0.2], fingerprint=dataset.fingerprint)
    save_predictions(kept["full", 1], other)
    assert digests(kept)[0] == before[0]
    assert digests(kept)[1] != before[1]
    save_predictions(kept["full", 1], predictions([0.1], fingerprint="other data"))
    assert kept_predictions(found, dataset) == {}
    kept["full", 1].write_bytes(b"no zip file")
    assert kept_predictions(found, dataset) == {}


def test_a_report_without_ensembles_says_nothing_of_them(tmp_path, made_up):
    found = write_report(tmp_path, made_up.facts(), made_up.arms())
    assert "ensembles" not in found
    for name in ("results.json", "table.md", "report.html"):
        assert "nsemble" not in (tmp_path / name).read_text()


@pytest.mark.slow
def test_a_study_evaluates_each_run_once_and_keeps_the_section(tmp_path, monkeypatch):
    plain = run_study(STUDY, tmp_path, QUIET)
    assert "ensembles" not in plain.results
    first = run_study(STUDY, tmp_path, QUIET, ensembles=True)
    assert first.trained == 0
    told = first.results["ensembles"]["arms"]
    assert list(told) == ["full", "without_conv2"]
    for name in told:
        results_of = [
            json.loads((tmp_path / f"{name}-seed{s}" / "result.json").read_text())
            for s in (0, 1)
        ]
        mean = np.mean([result["test_error"] for result in results_of])
        assert told[name]["members_error"] == pytest.approx(mean, abs=1e-12)
    place = tmp_path / "full-seed1" / "evaluation" / "synthetic-test-one-crop" / FILE
    assert load_predictions(place).setting.model == "full seed 1"
    for name in ("report.html", "table.md"):
        assert "Ensembles" in (tmp_path / name).read_text()
    stamps = {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("*.*")}
    monkeypatch.setattr(module, "evaluate", None)
    # Everything is on disk: with the flag or without, the report stays as it is.
    assert run_study(STUDY, tmp_path, QUIET, ensembles=True).results == first.results
    assert run_study(STUDY, tmp_path, QUIET).results == first.results
    del stamps["manifest.json"]
    assert all((tmp_path / n).stat().st_mtime_ns == at for n, at in stamps.items())
    # Without one run's predictions the section goes, and the report is the plain one.
    place.unlink()
    again = run_study(STUDY, tmp_path, QUIET)
    assert json.dumps(again.results["arms"]) == json.dumps(plain.results["arms"])
    assert "ensembles" not in again.results
