"""``results``: what is counted, left out and compared, on made-up runs."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cnn_jax.study import drawing
from cnn_jax.study.report import write_report
from cnn_jax.study.results import results

T4 = 2.77645  # two-sided 95 % quantile of Student's t, 4 degrees, printed tables


@pytest.fixture
def found(made_up):
    return results(made_up.facts(), made_up.arms())


def test_the_mean_and_its_interval_are_those_of_the_counts(found):
    error = found["arms"]["full"]["test_error"]
    counts = np.array([9, 7, 10, 8, 9])
    assert error["mean"] == pytest.approx(counts.mean() / 360)
    half_width = np.hypot(T4 * counts.std(ddof=1) / np.sqrt(5), 1) / 360
    # 1e-5: a printed quantile has six digits.
    assert error["half_width"] == pytest.approx(half_width, rel=1e-5)
    assert error["interval"][0] == pytest.approx(error["mean"] - half_width, rel=1e-4)
    assert error["seeds"] == 5


def test_the_wilson_interval_counts_the_test_images_once(found, made_up):
    low, high = found["arms"]["full"]["test_error"]["wilson"]
    made_up.counts = {"full": [9, 7, 10, 8, 9] * 4}
    more = results(made_up.facts(), made_up.arms())["arms"]["full"]["test_error"]
    # The same mean over four times the seeds: another sum, so the last bits may differ.
    assert more["wilson"] == pytest.approx([low, high], rel=1e-12)


def test_differences_pair_the_seeds_that_both_arms_finished(found):
    entry = found["arms"]["without_3_4"]["difference"]
    assert set(entry["per_seed"]) == {"0", "1", "3", "4"}
    assert entry["mean"] == pytest.approx((4 + 5 + 6 + 3) / 4 / 360)
    assert found["arms"]["full"]["difference"] is None


def test_verdicts_follow_the_interval_for_all_arms_together(found):
    verdicts = {
        name: arm["difference"]["verdict"]
        for name, arm in found["arms"].items()
        if arm["difference"]
    }
    assert verdicts == {
        "without_7": "not resolved",
        "without_6_7": "resolved",
        "without_3_4": "resolved",
        "without_3_4_6_7": "resolved",
    }
    assert found["comparison"]["comparisons"] == 4
    assert found["comparison"]["simultaneous_confidence"] == pytest.approx(0.9875)
    for arm in found["arms"].values():
        if arm["difference"]:
            low, high = arm["difference"]["simultaneous"]
            assert (low > 0 or high < 0) == (arm["difference"]["verdict"] == "resolved")
            assert low < arm["difference"]["interval"][0]


def test_an_arm_may_be_resolved_alone_but_not_among_several(made_up):
    made_up.counts = {
        "full": [9, 9, 9],
        "a": [12, 13, 14],
        "b": [9, 9, 10],
        "c": [9, 10, 8],
    }
    found = results(made_up.facts(), made_up.arms())["arms"]["a"]["difference"]
    assert found["interval"][0] > 0
    assert found["simultaneous"][0] < 0
    assert found["verdict"] == "not resolved together"


def test_one_image_in_every_seed_is_not_resolved(made_up):
    made_up.counts = {"full": [9, 9, 9, 9, 9], "arm": [10, 10, 10, 10, 10]}
    found = results(made_up.facts(), made_up.arms())["arms"]["arm"]["difference"]
    assert found["verdict"] == "not resolved"
    assert found["p_value"] > 0.05
    made_up.counts["arm"] = [11, 11, 11, 11, 11]
    found = results(made_up.facts(), made_up.arms())["arms"]["arm"]["difference"]
    assert found["verdict"] == "resolved"


def test_a_diverged_run_is_counted_and_left_out(found):
    arm = found["arms"]["without_3_4"]
    assert arm["finished"] == 4
    assert arm["diverged"] == [{"seed": 2, "step": 37}]
    assert arm["test_error"]["mean"] == pytest.approx((13 + 12 + 14 + 12) / 4 / 360)
    assert arm["runs"][2]["test_error"] is None


def test_one_seed_gives_a_mean_and_no_interval(made_up):
    made_up.counts = {"full": [9], "without_7": [30]}
    found = results(made_up.facts(), made_up.arms())
    arm = found["arms"]["without_7"]
    assert arm["test_error"]["interval"] is None
    assert arm["test_error"]["wilson"] is not None
    assert arm["difference"]["mean"] == pytest.approx(21 / 360)
    assert arm["difference"]["verdict"] == "no interval"
    assert found["comparison"]["smallest_resolvable"] is None


def test_a_baseline_that_always_diverged_leaves_nothing_to_compare(made_up):
    made_up.counts["full"] = [None] * 5
    found = results(made_up.facts(), made_up.arms())
    assert found["arms"]["full"]["test_error"]["mean"] is None
    assert found["arms"]["without_7"]["difference"]["mean"] is None
    assert found["arms"]["without_7"]["test_error"]["mean"] is not None


def test_parameters_removed_are_a_share_of_the_baseline(found):
    removed = found["arms"]["without_6_7"]["parameters_removed"]
    assert removed["trained"] == {"count": 9000, "percent": 45.0, "left": 11_000}
    assert removed["printed"]["percent"] == pytest.approx(15.0)
    assert found["arms"]["without_3_4"]["parameters_removed"]["trained"]["count"] == -500


def test_published_numbers_stay_apart_and_their_order_is_compared(found):
    assert found["arms"]["without_7"]["published"] == [40.0, 1.1]
    top1, drop = found["comparison"]["published"]
    assert (top1["pairs"], top1["same"]) == (10, 9)  # ours: full and -7 tie
    assert top1["resolved"] < 10
    assert top1["resolved_same"] == top1["resolved"]
    assert drop["pairs"] == 0


def test_what_a_clock_says_stands_outside_the_numbers(made_up):
    first = results(made_up.facts(), made_up.arms())
    made_up.resumed = 120
    later = made_up.facts(wall_seconds=9e9, started="tomorrow", device="another")
    second = results(later, made_up.arms())
    for key in ("study", "arms", "comparison", "seeds"):
        assert first[key] == second[key]
    assert first["timing"] != second["timing"]
    assert first["provenance"] != second["provenance"]


def test_results_are_json_without_nan(made_up):
    arm = made_up.arms()[0]
    run = dict(arm.runs[0]) | {"train_error": float("nan"), "test_wrong": np.int64(9)}
    arm = replace(arm, runs=(run, *arm.runs[1:]))
    found = results(made_up.facts(), [arm, *made_up.arms()[1:]])
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text) == found


def test_runs_on_different_test_sets_are_refused(made_up):
    arms = made_up.arms()
    odd = replace(arms[0], runs=(dict(arms[0].runs[0]) | {"test_examples": 100},))
    with pytest.raises(ValueError, match="different numbers of images"):
        results(made_up.facts(), [odd, *arms[1:]])


def test_the_report_is_five_whole_files(made_up, tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "DPI", 60)  # a quarter of the time
    (tmp_path / "report.html").write_text("an older one")
    found = write_report(tmp_path, made_up.facts(), made_up.arms())
    assert {path.name for path in tmp_path.iterdir()} == {
        *("results.json", "table.md", "report.html"),
        *("learning_curves.png", "comparison.png"),
    }
    assert json.loads((tmp_path / "results.json").read_text()) == found
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "table.md").read_text().startswith("# ")
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")
