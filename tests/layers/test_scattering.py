from functools import cache, partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.layers.scattering import Scattering
from cnn_jax.maths.geometry import WindowError
from tests.layers.scattering_by_sums import scattering_by_sums

SIZE, ANGLES = 16, 4  # J is 2 but where it says something else


def _apply(transform, images):
    return np.asarray(jax.jit(transform)(jnp.asarray(images, jnp.float32)[..., None]))


@pytest.fixture(scope="module")
def transform():
    """The compiled transform of images [N, 16, 16], as [N, 4, 4, 25]; N is 16."""
    compiled = jax.jit(Scattering(2, ANGLES))

    def compute(images):
        rows = np.zeros((16, SIZE, SIZE, 1), np.float32)
        rows[: len(images), :, :, 0] = images
        return np.asarray(compiled(rows))[: len(images)]

    return compute


@pytest.fixture(scope="module")
def oversampled():
    """Coefficients without loss of an image and of what the functions make of it."""
    compiled = jax.jit(Scattering(2, ANGLES, 2, 2))

    def compute(image, *functions):
        images = np.stack([image, *(function(image) for function in functions)])
        return np.asarray(compiled(images[..., None].astype(np.float32)))

    return compute


def _noise():
    return np.random.default_rng(1).standard_normal((SIZE, SIZE))


@cache
def _by_sums(subsample):
    return scattering_by_sums(_noise(), 2, ANGLES, subsample=subsample)


def _assert_equal(found, expected):
    assert found.shape == expected.shape == (4, 4, 25)
    # Relative to each channel's largest coefficient; float32.
    assert (abs(found - expected) / abs(expected).max((0, 1))).max() < 1e-5


def test_coefficients_equal_an_independent_implementation(transform):
    _assert_equal(transform(_noise()[None])[0], _by_sums(True))


MIRRORS = {  # what becomes of the number of an angle
    np.flipud: lambda angle: -angle,
    np.fliplr: lambda angle: -angle,
    np.rot90: lambda angle: angle + ANGLES // 2,
}


def test_without_loss_too_and_mirrored_images_give_mirrored_maps(oversampled):
    here, *others = oversampled(_noise(), *MIRRORS)
    _assert_equal(here, _by_sums(False))
    paths = Scattering(2, ANGLES).paths
    for (mirror, turn), there in zip(MIRRORS.items(), others, strict=True):
        order = [
            paths.index(tuple((j, turn(angle) % ANGLES) for j, angle in path))
            for path in paths
        ]
        mirrored = np.stack([mirror(here[:, :, k]) for k in range(len(paths))], -1)
        np.testing.assert_allclose(there[:, :, order], mirrored, atol=2e-6)  # float32


def test_what_subsampling_loses_is_small():
    exact, sampled = _by_sums(False), _by_sums(True)
    assert 0.0 < np.linalg.norm(sampled - exact) / np.linalg.norm(exact) < 0.01


@pytest.mark.parametrize(
    ("octaves", "angles", "order", "channels"),
    [(2, 8, 2, 81), (3, 8, 2, 217), (3, 6, 2, 127), (3, 6, 1, 19), (2, 8, 0, 1)],
)
def test_channels_are_those_of_the_paper(octaves, angles, order, channels):
    transform = Scattering(octaves, angles, order)
    assert len(transform.paths) == len(set(transform.paths)) == channels
    images = jax.ShapeDtypeStruct((2, 32, 48, 3), jnp.bfloat16)
    found = jax.eval_shape(transform, images)
    assert found.shape == (2, 32 >> octaves, 48 >> octaves, 3 * channels)
    assert found.dtype == jnp.bfloat16


def test_a_plane_wave_is_found_by_its_wavelet_alone():
    """A wave of the finest wavelet's frequency, which runs to the upper right."""
    row, column = np.mgrid[:32, :32]
    wave = np.cos(0.75 * np.pi * (column - row) / np.sqrt(2))
    transform = Scattering(2, 8, 1)
    found = _apply(transform, wave[None])[0, 2:-2, 2:-2].mean((0, 1))
    loudest = transform.paths[int(found.argmax())]
    assert loudest == ((0, 2),)  # angle 2 pi / 8
    # Half of the cosine, whose other half has the opposite frequency; the Morlet's peak.
    assert found.max() == pytest.approx(0.5, abs=0.02)


def test_a_constant_image_is_its_mean_and_nothing_else(transform):
    found = transform(np.full((1, SIZE, SIZE), 3.0))
    np.testing.assert_allclose(found[..., 0], 3.0, rtol=1e-6)
    assert abs(found[..., 1:]).max() < 1e-5


def test_the_transform_scales_with_the_image_and_ignores_its_sign_but_for_the_mean(
    transform, draw
):
    images = draw.standard_normal((2, SIZE, SIZE))
    plain, scaled, negative = (transform(c * images) for c in (1.0, 5.0, -1.0))
    np.testing.assert_allclose(scaled, 5.0 * plain, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(negative[..., 1:], plain[..., 1:], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(negative[..., 0], -plain[..., 0], rtol=1e-4, atol=1e-6)
    assert (plain[..., 1:] > 0.0).mean() > 0.99


def _unlike_images(draw):
    """Pairs of noise, of smooth images, of single pixels, of a checkerboard and nothing."""
    noise = draw.standard_normal((4, SIZE, SIZE))
    smooth = np.cumsum(np.cumsum(noise, 1), 2)
    corner, inside = np.zeros((2, SIZE, SIZE))
    corner[0, 0] = inside[7, 9] = 1.0
    board = (-1.0) ** np.add.outer(np.arange(SIZE), np.arange(SIZE))
    return np.stack([*noise, *smooth, corner, inside, board, 0 * board])


def test_distances_do_not_grow(transform, draw):
    images = _unlike_images(draw)
    coefficients = transform(images)

    def distances(arrays):
        flat = arrays.reshape(len(arrays), -1).astype(np.float64)
        apart = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
        return apart[np.triu_indices(len(arrays), 1)]

    ratios = distances(coefficients) / distances(images)
    assert len(ratios) == 66
    assert ratios.max() <= 1.0
    # Each coefficient stands for 4 x 4 pixels: the norm of the paper, an integral.
    assert 0.5 < 4 * ratios.max() <= 1.0


def test_the_energy_lies_in_the_first_orders(transform, draw):
    images = _unlike_images(draw)[:8]
    found = 16 * np.square(transform(images).astype(np.float64)).sum((1, 2))
    share = found / np.square(images).sum((1, 2))[:, None]
    orders = np.stack([share[:, :1].sum(1), share[:, 1:9].sum(1), share[:, 9:].sum(1)])
    assert (orders.sum(0) <= 1.0).all()
    assert (orders[2] < orders[1]).all()
    assert (orders[0, :4] < 0.1).all()  # noise: its mean is nothing
    assert (orders[0, 4:] > 0.7).all()  # smooth images are little else


def _change_under_a_shift(transform, image):
    """Return ||S x - S x'|| / ||S x||, x' being x moved by one pixel to the right."""
    here, there = _apply(transform, np.stack([image, np.roll(image, 1, 1)]))
    return np.linalg.norm(here - there) / np.linalg.norm(here)


@pytest.mark.parametrize("order", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_shift_changes_the_less_the_larger_the_scale(draw, order):
    image = np.zeros((32, 32))
    image[8:24, 8:24] = draw.standard_normal((16, 16))
    pixels = np.linalg.norm(image - np.roll(image, 1, 1)) / np.linalg.norm(image)
    assert pixels > 1.3  # noise and its neighbour have nothing in common
    changes = [
        _change_under_a_shift(Scattering(octaves, 2, order), image) for octaves in (1, 2, 3)
    ]
    # Mallat 2012, Theorem 2.16: at most a constant times |shift| / 2^J.
    assert all(change * 2**octaves < 1.5 for octaves, change in enumerate(changes, 1))
    assert all(after < 0.7 * before for before, after in pairwise(changes))
    assert changes[-1] < 0.2


def test_channels_of_an_image_are_transformed_one_by_one(draw):
    images = draw.standard_normal((2, 4, 8, 3)).astype(np.float32)
    compiled = jax.jit(Scattering(1, 2))
    found = np.asarray(compiled(images)).reshape(2, 2, 4, 3, 3)
    for channel in range(3):
        alone = compiled(images[..., [channel] * 3])[..., :3]
        np.testing.assert_allclose(found[..., channel, :], alone, rtol=1e-4, atol=1e-6)


def test_gradients_are_the_differences_in_float64_and_finite_for_nothing(draw):
    transform = Scattering(2, 1)
    with jax.enable_x64(True):
        image, way = draw.standard_normal((2, 1, 4, 4, 1))
        compute = jax.jit(jax.value_and_grad(lambda x: jnp.square(transform(x)).sum()))
        slope = float((compute(image)[1] * way).sum())
        h = 1e-5
        (above, _), (below, _) = compute(image + h * way), compute(image - h * way)
        nothing = compute(np.zeros_like(image))[1]
    # The third derivative times 1e-10, and 1e-16 / 1e-5 of rounding.
    assert slope == pytest.approx(float(above - below) / (2 * h), rel=1e-7)
    assert np.isfinite(nothing).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"J": 0}, "J = 0; a whole number of at least 1 is needed"),
        ({"J": 2, "L": 0}, "L = 0; a whole number of at least 1 is needed"),
        ({"J": 2.0}, "J = 2.0; a whole number"),
        ({"J": 2, "order": 3}, "order = 3 is not one of 0, 1, 2"),
        ({"J": 2, "oversampling": -1}, "oversampling = -1; a whole number of at least 0"),
    ],
)
def test_wrong_settings_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Scattering(**fields)


def test_images_that_do_not_fit_are_refused():
    trace = partial(jax.eval_shape, Scattering(3))
    with pytest.raises(WindowError, match=r"2\^J = 8 must divide .* 28 x 32 pixels"):
        trace(jnp.zeros((1, 28, 32, 1)))
    with pytest.raises(ValueError, match=r"\(8, 8, 1\); \[N, H, W, C\] is needed"):
        trace(jnp.zeros((8, 8, 1)))
