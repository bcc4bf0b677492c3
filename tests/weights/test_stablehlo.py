import sys

import jax
import numpy as np
import pytest

from cnn_jax.data.preprocessing import Preprocessing, apply_preprocessing
from cnn_jax.errors import UserError
from cnn_jax.layers.tracing import trace_variables
from cnn_jax.weights.stablehlo import export_stablehlo, read_stablehlo
from tests.tiny import MODEL

PREPROCESSING = Preprocessing(
    np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8, 1),
    np.full((1, 1, 1), 0.3, np.float32),
)


@pytest.fixture(scope="module")
def variables():
    draw = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: draw.standard_normal(leaf.shape).astype(np.float32),
        trace_variables(MODEL),
    )


@pytest.fixture(scope="module")
def exported_file(tmp_path_factory, variables):
    path = tmp_path_factory.mktemp("export") / "tiny.stablehlo"
    export_stablehlo(MODEL, variables, PREPROCESSING, path)
    return path


def test_it_computes_the_same_for_any_batch_size(exported_file, variables, draw):
    pixels = draw.integers(0, 256, (7, 8, 8, 1), np.uint8)
    exported = read_stablehlo(exported_file)
    assert exported.platforms == ("cpu", "cuda", "tpu")
    images = apply_preprocessing(PREPROCESSING, pixels)
    expected = np.asarray(jax.jit(lambda x: MODEL.apply(variables, x, train=False))(images))
    for count in (1, 3, 7):
        scores = exported.call(pixels[:count])
        assert scores.dtype == np.float32
        # The sums of one row may be added in another order for another batch size.
        np.testing.assert_allclose(scores, expected[:count], rtol=1e-5, atol=1e-5)


def test_other_images_are_refused(exported_file, draw):
    exported = read_stablehlo(exported_file)
    with pytest.raises(ValueError, match="Shape mismatch"):
        exported.call(draw.integers(0, 256, (2, 9, 8, 1), np.uint8))
    with pytest.raises(ValueError, match="expected uint8 and called with float32"):
        exported.call(np.zeros((2, 8, 8, 1), np.float32))


def test_what_is_no_exported_function_is_refused(tmp_path, exported_file):
    content = exported_file.read_bytes()
    for damaged in (b"hello", content[:9], content[: len(content) // 2], bytes(99)):
        (tmp_path / "x").write_bytes(damaged)
        with pytest.raises(UserError, match="no StableHLO file"):
            read_stablehlo(tmp_path / "x")
    with pytest.raises(UserError, match="No such file"):
        read_stablehlo(tmp_path / "missing")


def test_what_can_t_be_written_or_is_not_installed_is_one_line(
    tmp_path, variables, monkeypatch
):
    with pytest.raises(UserError, match="cannot write"):
        export_stablehlo(MODEL, variables, PREPROCESSING, tmp_path / "missing" / "x")
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    with pytest.raises(UserError, match=r"pip install 'cnn_jax\[export\]'"):
        export_stablehlo(MODEL, variables, PREPROCESSING, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []
