"""What the README shows works: its study, its edits, its links."""

import re
from pathlib import Path

import pytest

import cnn_jax
from cnn_jax.study.declared import load_study
from cnn_jax.study.plan import plan_study

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_study_of_ones_own_is_a_study(tmp_path):
    (tmp_path / "readme_ablation.py").write_text(PYTHON[0])
    study, _ = load_study(str(tmp_path / "readme_ablation.py"))
    plan = plan_study(study, setting="digits")
    removed = plan.parameters["full"] - plan.parameters["no_norm"]
    assert removed == 0  # normalisation has no parameters
    assert plan.experiments["no_decay"].optimizer.weight_decay == 0.0


def test_the_edits_do_what_is_written_beside_them():
    model = cnn_jax.create_model("alexnet")
    fewer = cnn_jax.without(model, "conv3", "conv4")
    removed = cnn_jax.count_parameters(model) - cnn_jax.count_parameters(fewer)
    assert f"{removed:,} parameters fewer" in PYTHON[1]
    with pytest.raises(cnn_jax.UserError) as refusal:
        cnn_jax.without(model, "conv1")
    assert str(refusal.value).split(" and its")[0] in PYTHON[1]


def test_every_place_in_the_where_is_table_exists():
    rows = README.split("## Where is")[1].split("\n\n")[1].splitlines()[2:]
    assert len(rows) > 15
    for row in rows:
        folder = None
        for place in re.findall(r"`([\w/.*<>]+)`", row.split("|")[2]):
            path = re.sub(r"<\w+>", "*", place)
            matches = list(ROOT.glob(path)) or list((ROOT / "cnn_jax").glob(path))
            if not matches and folder:
                matches = list(folder.glob(path))
            assert matches, f"{place} of: {row}"
            folder = matches[0].parent


def test_links_and_pictures_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_every_public_name_can_be_loaded():
    for name in cnn_jax.__all__:
        assert getattr(cnn_jax, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = cnn_jax.no_such_name
