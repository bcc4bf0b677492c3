import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data import preprocessing as module
from cnn_jax.data.preprocessing import (
    Normalization,
    apply_preprocessing,
    float_chunks,
    to_unit_range,
)


def images_of(count=7, height=5, width=4, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, height, width, channels), dtype=np.uint8)


def test_channel_facts_equal_a_loop_over_python_integers():
    images = images_of()
    fitted = Normalization().fit(images)
    for channel in range(3):
        values = [int(v) for v in images[..., channel].ravel()]
        mean = sum(values) / len(values)
        variance = sum((v - mean) ** 2 for v in values) / len(values)
        # float32 keeps 24 bits.
        assert fitted.mean[0, 0, channel] == pytest.approx(mean / 255, rel=1e-7)
        assert fitted.deviation[0, 0, channel] == pytest.approx(
            variance**0.5 / 255, rel=1e-7
        )


def test_mean_image_is_the_mean_over_examples_and_leaves_the_scale_alone():
    images = images_of()
    fitted = Normalization(mean="pixel", deviation="none").fit(images)
    assert fitted.mean.shape == (5, 4, 3)
    exact = images.astype(np.float64).mean(0) / 255
    np.testing.assert_array_equal(fitted.mean, exact.astype(np.float32))
    np.testing.assert_array_equal(fitted.deviation, np.ones((1, 1, 3), np.float32))


def test_blocks_do_not_change_the_facts(monkeypatch):
    images = images_of(count=23)
    whole = [Normalization(mean).fit(images) for mean in ("channel", "pixel")]
    monkeypatch.setattr(module, "_CHUNK_VALUES", 130)  # two images a block, one left
    assert [len(chunk) for chunk in float_chunks(images)] == [2] * 11 + [1]
    parts = [Normalization(mean).fit(images) for mean in ("channel", "pixel")]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one.mean, other.mean)
        np.testing.assert_array_equal(one.deviation, other.deviation)


def test_training_images_come_out_with_mean_0_and_deviation_1():
    images = images_of(count=50)
    normal = np.asarray(apply_preprocessing(Normalization().fit(images), images))
    assert normal.dtype == np.float32
    # float32 sums of 1000 numbers of size 1
    np.testing.assert_allclose(normal.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(normal.std((0, 1, 2)), 1, atol=1e-6)


@pytest.mark.parametrize("level", [0, 77, 255])
def test_a_constant_channel_has_deviation_1_and_becomes_0(level):
    images = images_of()
    images[..., 1] = level
    fitted = Normalization().fit(images)
    assert fitted.deviation[0, 0, 1] == 1.0
    assert fitted.deviation[0, 0, 0] != 1.0
    normal = np.asarray(apply_preprocessing(fitted, images))
    # one rounding of level / 255
    np.testing.assert_allclose(normal[..., 1], 0, atol=1e-7)


def test_none_only_scales_to_the_unit_range():
    images = images_of()
    fitted = Normalization(mean="none", deviation="none").fit(images)
    # XLA multiplies by the float32 nearest to 1 / 255: one rounding more.
    np.testing.assert_allclose(apply_preprocessing(fitted, images), images / 255, rtol=2e-7)


def test_bytes_and_unit_range_floats_give_the_same_under_jit():
    images = images_of()
    fitted = Normalization(mean="pixel").fit(images)
    step = jax.jit(apply_preprocessing)
    from_bytes = step(fitted, images)
    from_floats = step(fitted, to_unit_range(images))
    # XLA may turn the division into a product: a few float32 roundings of numbers near 2
    np.testing.assert_allclose(from_bytes, from_floats, rtol=1e-6, atol=1e-6)


def test_whole_numbers_of_unknown_scale_are_refused():
    fitted = Normalization().fit(images_of())
    with pytest.raises(ValueError, match="int32; expected uint8"):
        apply_preprocessing(fitted, jnp.zeros((1, 5, 4, 3), jnp.int32))


def test_a_mean_image_of_another_size_is_refused():
    fitted = Normalization(mean="pixel").fit(images_of())
    with pytest.raises(ValueError, match=r"\(5, 4, 3\); images of \(5, 5, 3\)"):
        apply_preprocessing(fitted, images_of(width=5))


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 3, 3, 1), np.float32),
        np.zeros((3, 3, 1), np.uint8),
        np.zeros((0, 3, 3, 1), np.uint8),
    ],
)
def test_fit_refuses_what_are_not_stored_images(images):
    with pytest.raises(ValueError, match=r"expected uint8 \[N, H, W, C\]"):
        Normalization().fit(images)


def test_unknown_choices_are_refused_when_declared():
    with pytest.raises(ValueError, match="mean 'image' is not one of"):
        Normalization(mean="image")
    with pytest.raises(ValueError, match="deviation 'pixel' is not one of"):
        Normalization(deviation="pixel")


def test_white_is_255_for_the_recipes_that_say_so(draw):
    images = draw.integers(0, 256, (5, 4, 4, 3), np.uint8)
    fitted = Normalization(mean="pixel", deviation="none", white=255).fit(images)
    expected = images - images.mean(0, dtype=np.float64)
    # float32: values up to 255, rounded once in the division and once in the product.
    np.testing.assert_allclose(apply_preprocessing(fitted, images), expected, atol=1e-4)


def test_an_unknown_white_is_refused():
    with pytest.raises(ValueError, match="white 128"):
        Normalization(white=128)


def test_levels_are_the_values_of_black_and_white():
    images = images_of()
    images[0, 0, 0] = (0, 255, 51)
    recipe = Normalization(mean="none", deviation="none", levels=(-0.1, 1.175))
    normal = apply_preprocessing(recipe.fit(images), images)
    # float32: three roundings of numbers near 1
    np.testing.assert_allclose(normal[0, 0, 0], [-0.1, 1.175, 0.155], atol=5e-7)
    np.testing.assert_allclose(normal, -0.1 + 1.275 * images / 255, atol=5e-7)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"levels": (1.0, -1.0)}, "black must be below white"),
        ({"levels": (0.0, float("inf"))}, "black must be below white"),
        ({"levels": (-1.0, 1.0), "mean": "pixel"}, "levels need mean 'none'"),
        ({"levels": (-1.0, 1.0), "white": 255}, "levels need .* white 1"),
    ],
)
def test_levels_are_in_order_and_alone(fields, message):
    with pytest.raises(ValueError, match=message):
        Normalization(**({"mean": "none", "deviation": "none"} | fields))
