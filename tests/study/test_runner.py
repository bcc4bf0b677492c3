"""A study goes on where it was killed, and never trains a finished run again."""

import dataclasses
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from cnn_jax import Arm, Study, UserError
from cnn_jax.experiment.load import load_run
from cnn_jax.optim.schedules import Constant
from cnn_jax.study import runner
from cnn_jax.study.declared import load_study
from cnn_jax.study.edits import change, remove, scale, unchanged
from cnn_jax.study.plan import plan_study
from cnn_jax.study.runner import run_study
from tests.tiny import EXPERIMENT, QUIET, variant

ROOT = Path(__file__).parents[2]
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
    assert plan_study(STUDY).directory == Path("runs/tiny/synthetic")
    assert plan_study(STUDY, epochs=1).directory == Path("runs/tiny/synthetic")
    changed = plan_study(STUDY, epochs=2).directory
    assert changed.name.startswith("synthetic-")
    assert len(changed.name) == len("synthetic-") + 8


def test_asking_for_less_keeps_what_is_finished_in_the_report(finished):
    directory, _ = finished
    everything = run_study(STUDY, directory, QUIET)
    fewer = run_study(STUDY, directory, QUIET, seeds=1, arms=("full",))
    assert fewer.trained == 0
    assert stable(fewer.results) == stable(everything.results)


def test_an_arm_that_means_something_else_now_is_refused(finished):
    directory, _ = finished
    arms = {**STUDY.arms, "without_conv2": Arm("-conv2", change(batch_size=25))}
    with pytest.raises(UserError, match="without_conv2-seed0 holds a different run"):
        run_study(dataclasses.replace(STUDY, arms=arms), directory, QUIET)


def test_a_reworded_study_gets_a_new_report_without_training(finished):
    directory, _ = finished
    outcome = run_study(dataclasses.replace(STUDY, title="Reworded"), directory, QUIET)
    assert outcome.trained == 0
    assert "Reworded" in (directory / "report.html").read_text()


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (remove("conv9"), "arm broken: unknown layer of TableNetwork 'conv9'"),
        (change(no_such_field=1), "arm broken: .*no_such_field"),
        (lambda experiment: None, "arm broken: its edit gave NoneType"),
        (change(loss=lambda logits, labels: labels), r"experiment\.loss is"),
    ],
)
def test_an_arm_that_cannot_run_is_refused_before_anything_is_trained(
    tmp_path, edit, reason
):
    study = dataclasses.replace(STUDY, arms={**STUDY.arms, "broken": Arm("broken", edit)})
    with pytest.raises(UserError, match=reason):
        run_study(study, tmp_path / "out", QUIET, arms=("broken",))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"seeds": 0}, "seeds is 0"),
        ({"arms": ("ful",)}, "unknown arm 'ful'; did you mean full"),
        ({"setting": "synthtic"}, "unknown dataset for the study tiny 'synthtic'; did you"),
        ({"epochs": -1}, "epochs is -1"),
        ({"epochs": float("inf")}, "epochs is inf"),
        ({"arms": ()}, "no arms; known: full"),
        ({"setting": ""}, "unknown dataset for the study tiny ''"),
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
    loaded = load_run(out / "double-seed0")
    assert (
        loaded.model.activation(-1.0 + 0 * loaded.variables["params"]["out"]["bias"]).sum()
        == 0
    )
    # In another process the copy beside the runs is what is loaded.
    program = (
        "import sys; from cnn_jax import load_run\n"
        "print(load_run(sys.argv[1]).model.activation)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(out / "double-seed0")],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{folder}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "triple" in done.stdout, done.stderr


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
