import jax
import jax.numpy as jnp
import pytest

from cnn_jax.errors import UserError
from cnn_jax.optim.parameter_names import chosen, matching

PARAMS = {
    "conv1": {"kernel": 0.0, "bias": 0.0},
    "conv10": {"kernel": 0.0},
    "conv2_1": {"norm1": {"scale": 0.0, "bias": 0.0}, "kernel": 0.0},
    "fc6": {"kernel": jax.ShapeDtypeStruct((2, 3), jnp.float32)},
}


def names(tree):
    """Return the names of the parameters that are True, joined by spaces."""
    return {
        "/".join(str(key.key) for key in path)
        for path, value in jax.tree_util.tree_leaves_with_path(tree)
        if value
    }


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ((), set()),
        (("conv1",), {"conv1/kernel", "conv1/bias"}),
        (("conv1/kernel",), {"conv1/kernel"}),
        (("conv1*/kernel",), {"conv1/kernel", "conv10/kernel"}),
        (
            ("*/bias", "fc?"),
            {"conv1/bias", "conv2_1/norm1/bias", "fc6/kernel"},
        ),
        (("*/norm1",), {"conv2_1/norm1/scale", "conv2_1/norm1/bias"}),
        (("conv[12]",), {"conv1/kernel", "conv1/bias"}),
    ],
)
def test_patterns_match_names_and_scopes(patterns, expected):
    tree = matching(PARAMS, patterns)
    assert jax.tree.structure(tree) == jax.tree.structure(PARAMS)
    assert names(tree) == expected


def test_a_star_is_everything():
    assert names(matching(PARAMS, ("*",))) == names(chosen(PARAMS, "all"))
    assert len(names(chosen(PARAMS, "all"))) == 7


def test_kernels_are_known_by_their_last_name():
    assert names(chosen(PARAMS, "kernels")) == {
        "conv1/kernel",
        "conv10/kernel",
        "conv2_1/kernel",
        "fc6/kernel",
    }
    assert chosen({"kernel": {"bias": 1.0}}, "kernels") == {"kernel": {"bias": False}}


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("cnov1", r"'cnov1' matches no parameter; did you mean conv1, .*\(layers: conv1, "),
        ("fc6/bias", "'fc6/bias' matches .* did you mean .*fc6"),
        ("*/slope", r"'\*/slope' matches no parameter"),
        ("Conv1", "'Conv1' matches no parameter; did you mean conv1"),
    ],
)
def test_a_pattern_that_matches_nothing_is_answered_with_near_names(pattern, says):
    with pytest.raises(UserError, match=says) as caught:
        matching(PARAMS, ("conv1", pattern))
    assert "\n" not in str(caught.value)


def test_of_many_layers_a_dozen_are_named():
    many = {f"conv{i:03}": {"kernel": 0.0} for i in range(150)}
    with pytest.raises(UserError, match=r"conv011, \.\.\. 138 more\)"):
        matching(many, ("bn1",))


def test_one_text_is_no_tuple_of_texts():
    with pytest.raises(ValueError, match="'conv1' is one text"):
        matching(PARAMS, "conv1")
