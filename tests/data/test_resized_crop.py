"""Random resized crop and scale jitter against Pillow, and their distributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from cnn_jax.data.resampling import cut_out, resize_window
from cnn_jax.data.resized_crop import RandomResizedCrop, ScaleJitter


def pixels(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).random((height, width, channels), np.float32)


def pillow(image, height, width):
    """Resize every channel with Pillow's bilinear filter, in float."""
    planes = [
        Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR)
        for plane in np.moveaxis(image, -1, 0)
    ]
    return np.stack([np.asarray(plane) for plane in planes], -1)


@pytest.fixture(scope="module")
def resize():
    """Cut whole pixels out of 24 x 18 and resize to 9 x 13, compiled once."""

    def cut(image, top, height, left, width):
        rows, columns = cut_out(top, height), cut_out(left, width)
        return resize_window(image, rows, columns, (9, 13), shrink=24 / 9)

    return jax.jit(cut)


@pytest.mark.parametrize(
    ("top", "height", "left", "width"),
    [
        (0, 24, 0, 18),  # the whole image: shrinks by 2.7 and by 1.4
        (3, 21, 1, 17),
        (0, 9, 5, 13),  # scale 1: the pixels themselves
        (20, 4, 14, 4),  # enlarged, in a corner
        (23, 1, 0, 1),  # one pixel
        (0, 1, 0, 18),
    ],
)
def test_a_window_is_what_pillow_makes_of_the_pixels_cut_out(
    resize, top, height, left, width
):
    image = pixels(24, 18)
    cut = image[top : top + height, left : left + width]
    # Pillow sums in float64; float32 sums of 6 products of numbers below 1.
    resized = resize(image, top, height, left, width)
    np.testing.assert_allclose(resized, pillow(cut, 9, 13), atol=2e-6)
    if (height, width) == (9, 13):
        np.testing.assert_array_equal(resized, cut)


def test_a_constant_image_stays_constant_and_bounds_are_kept(resize):
    for value in (0.0, 0.3, 1.0):
        resized = resize(np.full((24, 18, 3), value, np.float32), 2, 22, 5, 11)
        np.testing.assert_allclose(resized, value, rtol=5e-7)  # weights sum to 1 +- 2 ulp


def many(crop, draws, height, width):
    keys = jax.random.split(jax.random.key(1), draws)
    draw = jax.jit(jax.vmap(lambda key: crop.window(key, height, width)))
    return tuple(np.asarray(part) for part in draw(keys))


def test_windows_have_the_area_and_the_shape_of_the_rule():
    draws, side = 20_000, 1000
    top, left, height, width = many(RandomResizedCrop(8, 8), draws, side, side)
    assert min(top.min(), left.min(), height.min(), width.min()) >= 0
    assert max((top + height).max(), (left + width).max()) <= side
    area, ratio = height * width / side**2, width / height
    # Rounding moves a side of 245 pixels or more by at most half a pixel.
    assert 0.08 * 0.995 < area.min() < 0.0805
    assert 0.985 < area.max() <= 1.0
    assert 0.75 * 0.995 < ratio.min() < ratio.max() < 4 / 3 * 1.005
    # A window of area a and log ratio x fits a square where a <= exp(-|x|); x is uniform
    # in +-log(4/3), so the density is flat up to 3/4 and falls like -log(a) beyond.
    grid = np.linspace(0.08, 1.0, 100_001)
    density = np.minimum(1.0, -np.log(grid) / np.log(4 / 3))
    expected = np.cumsum(density) / density.sum()
    found = np.searchsorted(np.sort(area), grid) / draws
    # Kolmogorov and Smirnov: 1 in 10,000 samples is further off than 2.2 / sqrt(draws).
    assert np.abs(found - expected).max() < 2.2 / draws**0.5
    # Small windows always fit, so their ratio has the distribution that was drawn.
    position = np.sort(np.log(ratio[area < 0.7]) / np.log(4 / 3) / 2 + 0.5)
    uniform = (np.arange(len(position)) + 0.5) / len(position)
    assert np.abs(position - uniform).max() < 2.2 / len(position) ** 0.5


@pytest.mark.slow
def test_every_place_of_a_window_is_equally_likely():
    crop = RandomResizedCrop(4, 4, area=(0.25, 0.25), aspect=(1.0, 1.0))
    top, left, height, width = many(crop, 4000, 10, 12)  # 30 pixels: 5 x 5
    assert (set(height), set(width)) == ({5}, {5})
    counts = np.bincount(top * 8 + left, minlength=48)
    # 47 degrees of freedom: 1 draw in 10,000 exceeds 96; the key is fixed.
    assert ((counts - 4000 / 48) ** 2 / (4000 / 48)).sum() < 96


def test_if_no_window_fits_the_largest_central_one_is_taken():
    crop = RandomResizedCrop(4, 4, area=(0.9, 1.0))
    flat, upright = jax.jit(
        lambda key: (crop.window(key, 10, 100), crop.window(key, 100, 10))
    )(jax.random.key(0))
    assert tuple(int(n) for n in flat) == (0, 43, 10, 13)
    assert tuple(int(n) for n in upright) == (43, 0, 13, 10)


def test_a_crop_is_its_window_resized_and_the_key_decides():
    crop, image = RandomResizedCrop(7, 5), pixels(20, 16)
    call = jax.jit(
        lambda key: (crop(key, jnp.asarray(image), ()), crop.window(key, 20, 16))
    )
    seen = set()
    for seed in (0, 1, 2, 0):
        resized, window = call(jax.random.key(seed))
        top, left, height, width = (int(n) for n in window)
        cut = image[top : top + height, left : left + width]
        np.testing.assert_allclose(resized, pillow(cut, 7, 5), atol=2e-6)
        seen.add(np.asarray(resized).tobytes())
    assert len(seen) == 3


def test_jitter_cuts_a_random_square_out_of_the_resized_image():
    jitter, image = ScaleJitter(8, 12, 6), pixels(10, 13)
    keys = jax.random.split(jax.random.key(2), 400)
    squares = jax.jit(jax.vmap(lambda key: jitter(key, jnp.asarray(image), ())))(keys)
    squares = np.asarray(squares).reshape(400, -1)
    candidates = {}
    for short in range(8, 13):
        resized = pillow(image, short, (26 * short + 10) // 20)
        for i in range(resized.shape[0] - 5):
            for j in range(resized.shape[1] - 5):
                candidates[short, i, j] = resized[i : i + 6, j : j + 6].ravel()
    table = np.stack(list(candidates.values()))
    distances = np.abs(squares[:, None] - table[None]).max(-1)
    assert distances.min(1).max() < 3e-6  # float32, as above
    found = [list(candidates)[best] for best in distances.argmin(1)]
    shorts = np.bincount([short for short, _, _ in found], minlength=13)[8:]
    assert ((shorts - 80) ** 2 / 80).sum() < 24  # 4 degrees of freedom, 1 in 10,000
    lowest = {i for short, i, _ in found if short == 12}
    assert lowest == set(range(7))


def test_bad_numbers_are_refused_when_declared():
    with pytest.raises(ValueError, match="cannot resize to 0 x 4 pixels"):
        RandomResizedCrop(0, 4)
    with pytest.raises(ValueError, match=r"area \(0.5, 0.2\) is not an interval"):
        RandomResizedCrop(4, 4, area=(0.5, 0.2))
    with pytest.raises(ValueError, match=r"aspect \(0.0, 1.0\) is not an interval"):
        RandomResizedCrop(4, 4, aspect=(0.0, 1.0))
    with pytest.raises(ValueError, match="a square of 9 cannot be cut from every image"):
        ScaleJitter(8, 12, 9)
