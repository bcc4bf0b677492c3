"""A study goes on where it was killed, and never trains a finished run again."""

import json
import os
import textwrap

import pytest

from cnn_jax import Arm, Study, UserError
from cnn_jax.experiment.load import load_run
from cnn_jax.optim.schedules import Constant
from cnn_jax.study import runner
from cnn_jax.study.declared import load_study
from cnn_jax.study.edits import change, remove, scale, unchanged
from cnn_jax.study.runner import run_study, study_directory
from tests.tiny import EXPERIMENT, QUIET, variant

STUDY = Study(
    name="tiny",
    title="Tiny",
    question="Does it go on?",
    source="made for tests",
    settings={"synthetic": variant(epochs=1), "larger": EXPERIMENT},
    arms={
        "full": Arm("full", unchanged),
        "without_conv2": Arm("-conv2", remove("conv2")),
        "explodes": Arm("explodes", change(schedule=Constant(rate=1e12))),
    },
    baseline="full",
    default_arms=("full", "without_conv2"),
    printed="larger",
    seeds=2,
)


class Killed(BaseException):
    """Ends the study like a kill."""


def stable(results):
    return json.dumps([results[key] for key in ("study", "arms", "seeds")], sort_keys=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("study")
    return directory, run_study(STUDY, directory, QUIET)


def test_a_killed_study_ends_with_the_same_numbers(tmp_path, finished, monkeypatch):
    trained = []
    run = runner.run

    def run_two_then_die(experiment, workdir, **options):
        if len(trained) == 2:
            raise Killed
        trained.append(workdir.name)
        return run(experiment, workdir, **options)

    monkeypatch.setattr(runner, "run", run_two_then_die)
    with pytest.raises(Killed):
        run_study(STUDY, tmp_path, QUIET)
    assert trained == ["full-seed0", "full-seed1"]
    trained.clear()
    outcome = run_study(STUDY, tmp_path, QUIET)
    assert trained == ["without_conv2-seed0", "without_conv2-seed1"]
    assert stable(outcome.results) == stable(finished[1].results)


def test_a_finished_study_trains_nothing_and_keeps_its_report(finished, monkeypatch):
    directory, first = finished
    monkeypatch.setattr(runner, "run", None)
    before = {
        p.name: p.stat().st_mtime_ns for p in directory.iterdir() if p.suffix != ".json"
    }
    again = run_study(STUDY, directory, QUIET)
    assert again.trained == 0
    assert again.results == first.results
    after = {
        p.name: p.stat().st_mtime_ns for p in directory.iterdir() if p.suffix != ".json"
    }
    assert before == after


def test_the_results_count_parameters_of_both_networks(finished):
    arms = finished[1].results["arms"]
    # conv2 of the tiny table: 3 * 3 * 4 * 8 + 8 = 296; fc1 then sees 3 * 3 * 4 values
    # instead of 3 * 3 * 8: 36 * 16 = 576 fewer.
    assert arms["without_conv2"]["parameters_removed"]["trained"]["count"] == 296 + 576
    assert arms["without_conv2"]["parameters_removed"]["printed"]["count"] == 296 + 576


def test_more_seeds_and_arms_extend_a_directory(finished, tmp_path):
    directory, first = finished
    outcome = run_study(STUDY, directory, QUIET, seeds=3, arms=("explodes",))
    assert outcome.trained == 4  # one more seed of full, three of explodes
    exploded = json.loads((directory / "explodes-seed0" / "result.json").read_text())
    assert exploded["status"] == "diverged"
    assert exploded["diverged_at_step"] >= 1
    assert (directory / "report.html").read_text().count("diverged") > 0
    full = outcome.results["arms"]["full"]["runs"]
    assert full[:2] == first.results["arms"]["full"]["runs"]


def test_a_directory_of_another_study_is_refused(finished):
    directory, _ = finished
    before = sorted((p.name, p.stat().st_mtime_ns) for p in directory.iterdir())
    with pytest.raises(UserError, match="holds a different study"):
        run_study(STUDY, directory, QUIET, epochs=2)
    with pytest.raises(UserError, match="a run, not a study"):
        run_study(STUDY, directory / "full-seed0", QUIET)
    assert sorted((p.name, p.stat().st_mtime_ns) for p in directory.iterdir()) == before


def test_an_override_has_a_place_of_its_own():
    setting, baseline = STUDY.setting(None)
    assert str(study_directory(STUDY, setting, baseline)) == os.path.join(
        "runs", "tiny", "synthetic"
    )
    changed = study_directory(STUDY, setting, variant(epochs=2))
    assert changed.name.startswith("synthetic-")
    assert len(changed.name) == len("synthetic-") + 8


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"seeds": 0}, "seeds is 0"),
        ({"arms": ("ful",)}, "unknown arm 'ful'; did you mean full"),
        ({"setting": "synthtic"}, "unknown dataset for the study tiny 'synthtic'; did you"),
        ({"epochs": -1}, "epochs is -1"),
    ],
)
def test_mistakes_are_one_line_and_leave_no_directory(tmp_path, options, reason):
    with pytest.raises(UserError, match=reason):
        run_study(STUDY, tmp_path / "new", QUIET, **options)
    assert not (tmp_path / "new").exists()


def test_scaling_a_layer_that_is_not_there_is_refused():
    with pytest.raises(UserError, match=r"unknown layer .* 'fc2'; did you mean fc1"):
        scale(fc2=0.5)(EXPERIMENT)
    assert scale(fc1=0.5)(EXPERIMENT).model.table[3].features == 8


USER_STUDY = """
from cnn_jax import Arm, Study
from cnn_jax.study.edits import change_model, unchanged
from my_parts import BASE, double

STUDY = Study(
    title="Mine", question="?", source="me", settings={"synthetic": BASE}, baseline="plain",
    arms={
        "plain": Arm("plain", unchanged),
        "double": Arm("double", change_model(activation=triple)),
    },
    seeds=1,
)
""".replace("STUDY =", "def triple(x):\n    return 3 * x.clip(0)\n\nSTUDY =")


def test_a_users_own_file_runs_from_anywhere(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "my_parts.py").write_text(
        textwrap.dedent("""
            from tests.tiny import variant
            BASE = variant(epochs=0.5)
            double = None
        """)
    )
    (folder / "my_ablation.py").write_text(USER_STUDY)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    study, file = load_study("../mine/my_ablation.py")
    outcome = run_study(study, None, QUIET, study_file=file)
    out = elsewhere / "runs" / "my_ablation" / "synthetic"
    assert outcome.report.resolve() == (out / "report.html").resolve()
    assert (out / "my_ablation.py").read_text() == USER_STUDY
    loaded = load_run(out / "double-seed0", modules=["my_ablation"])
    assert (
        loaded.model.activation(-1.0 + 0 * loaded.variables["params"]["out"]["bias"]).sum()
        == 0
    )
    with pytest.raises(
        UserError, match="my_ablation:triple is no class or function of cnn_jax"
    ):
        load_run(out / "double-seed0")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = 1", "declares no STUDY"),
        ("\nSTUDY = 1/0", "line 2 does not load: ZeroDivisionError"),
        ("def (", "line 1 does not load: SyntaxError"),
        ("from cnn_jax import no_such_name", "line 1 does not load: ImportError"),
    ],
)
def test_a_file_that_is_no_study_is_named_with_its_line(tmp_path, text, reason):
    path = tmp_path / f"broken_{abs(hash(text)) % 10**6}.py"
    path.write_text(text)
    with pytest.raises(UserError, match=reason):
        load_study(str(path))


def test_a_file_that_would_shadow_a_module_is_refused(tmp_path):
    (tmp_path / "json.py").write_text("STUDY = None")
    with pytest.raises(UserError, match="rename"):
        load_study(str(tmp_path / "json.py"))
    (tmp_path / "My Study.py").write_text("")
    with pytest.raises(UserError, match="must match"):
        load_study(str(tmp_path / "My Study.py"))
