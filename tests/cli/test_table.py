"""``cnn-jax table`` and ``cnn-jax models``: what people read and what programs read."""

import json

import jax
import pytest

import cnn_jax
from cnn_jax.analysis.layer_table import layer_table
from cnn_jax.cli import main


@pytest.fixture(autouse=True)
def _platforms_as_before():
    before = jax.config.jax_platforms
    yield
    jax.config.update("jax_platforms", before)


def run(capsys, *arguments):
    assert main(arguments) == 0
    return capsys.readouterr().out


def mistake(capsys, *arguments):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def line_of(text, start):
    (line,) = [line for line in text.splitlines() if line.strip().startswith(start)]
    return line.split()


def test_the_table_shows_rows_totals_and_what_the_paper_prints(capsys):
    text = run(capsys, "table", "vgg_d")
    assert text.startswith("vgg_d: Simonyan & Zisserman 2015, input 224x224x3\n")
    assert " ".join(line_of(text, "conv3_1")) == (
        "conv3_1 Conv 56x56x256 295,168 924,844,032 24 4 3,211,264"
    )
    assert line_of(text, "fc6")[-3:] == ["all", "-", "16,384"]
    assert line_of(text, "total")[:3] == ["total", "138,357,544", "15,470,264,320"]
    below = text.split("As printed, for an input of 224x224x3:")[1]
    assert " ".join(line_of(below, "parameters")) == (
        "parameters 138 million 138,357,544 Simonyan & Zisserman 2015, Table 2"
    )
    assert max(len(line) for line in text.splitlines()) <= 120


def test_a_network_of_which_nothing_is_printed_has_no_such_heading(capsys):
    assert "As printed" not in run(capsys, "table", "mlp")


def test_another_input_is_another_table_beside_the_same_print(capsys):
    text = run(capsys, "table", "vgg_a", "--input", "64x96x3")
    assert "input 64x96x3" in text
    assert line_of(text, "pool5")[2] == "2x3x512"
    assert "As printed, for an input of 224x224x3:" in text
    left_over = run(capsys, "table", "alexnet", "--input", "300x260x3")
    assert line_of(left_over, "fc6")[-3] == "299x259"


def test_auxiliary_heads_are_marked(capsys):
    text = run(capsys, "table", "googlenet_small")
    assert line_of(text, "aux1 (training only)")[3] == "AuxiliaryHead"
    assert "the totals leave it out" in text
    assert "the totals leave it out" not in run(capsys, "table", "alexnet_small")


def test_the_table_is_json_for_programs(capsys):
    found = json.loads(run(capsys, "table", "overfeat_fast", "--json"))
    spec = cnn_jax.model_spec("overfeat_fast")
    rows = layer_table(spec.build())
    assert [row["name"] for row in found["rows"]] == [row.name for row in rows]
    for given, row in zip(found["rows"], rows, strict=True):
        assert set(given) == set(vars(row))
        assert tuple(given["output_shape"]) == row.output_shape
        assert tuple(given["receptive_field"]) == row.receptive_field
        assert given["macs"] == row.macs
    assert found["rows"][-1]["effective_stride"] is None
    assert found["totals"]["parameters"] == spec.parameters
    assert found["totals"]["macs"] == spec.macs
    assert found["totals"]["activation_memory"] == 4 * sum(
        values_of(row.output_shape) for row in rows
    )
    assert found["input_shape"] == [231, 231, 3]
    assert [(p["quantity"], p["figure"], p["ours"]) for p in found["printed"]] == [
        ("parameters", "145 million", spec.parameters),
        ("multiply-adds", "2,810 million connections", spec.macs),
    ]


def values_of(shape):
    product = 1
    for size in shape:
        product *= size
    return product


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("vgg_x",), "unknown model 'vgg_x'; did you mean vgg_"),
        ((), "NAME"),
        (("vgg_d", "--input", "224"), "--input 224: not HEIGHTxWIDTHxCHANNELS"),
        (("vgg_d", "--input", "0x224x3"), "--input 0x224x3: not"),
        (("vgg_d", "--input", "20x20x3"), "pool5: a window of 2 does not fit 1 pixels"),
        (("prelu_net_a", "--input", "90x90x3", "--json"), "spp: 7 bins do not fit 5"),
    ],
)
def test_a_mistake_is_one_line(arguments, said, capsys):
    line = mistake(capsys, "table", *arguments)
    assert line.startswith("cnn-jax: ")
    assert said in line


def test_models_show_the_published_error_with_its_protocol(capsys):
    text = run(capsys, "models")
    assert max(len(line) for line in text.splitlines()) <= 120
    line = " ".join(line_of(text, "alexnet "))
    assert "60,965,224 724,406,816 40.7 / 18.2 %:" in line
    assert "27.0 / 8.8 %" in " ".join(line_of(text, "vgg_d "))  # not "27"
    assert line_of(text, "mlp ")[-1] == "-"


def test_models_are_json_with_every_published_and_printed_number(capsys):
    found = {model["name"]: model for model in json.loads(run(capsys, "models", "--json"))}
    assert list(found) == cnn_jax.list_models()
    for name, model in found.items():
        spec = cnn_jax.model_spec(name)
        assert model["published"] == [vars(error) for error in spec.published]
        assert model["printed"] == [vars(printed) for printed in spec.printed]
        for printed in spec.printed:
            assert printed.figure
            assert printed.source
