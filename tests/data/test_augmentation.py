from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data.augmentation import (
    HorizontalFlip,
    PcaColourNoise,
    ShiftedCrop,
    augment_batch,
    fit_augmentations,
)
from cnn_jax.data.elastic import ElasticDistortion
from cnn_jax.errors import UserError
from cnn_jax.layers.batch_layout import BatchLayout, batch_layout

ALL = (
    ShiftedCrop(2),
    HorizontalFlip(),
    ElasticDistortion(alpha=5.0, sigma=2.0),
    PcaColourNoise(),
)


def bytes_of(count=8, height=9, width=7, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, height, width, channels), dtype=np.uint8)


def unit(images):
    return jnp.asarray(images, jnp.float32) / 255


def many(augmentation, image, draws, facts=()):
    keys = jax.random.split(jax.random.key(1), draws)
    return jax.jit(jax.vmap(lambda key: augmentation(key, image, facts)))(keys)


def chi_squared(counts, draws, kinds):
    expected = draws / kinds
    return sum((n - expected) ** 2 / expected for n in counts)


def test_every_crop_is_a_slice_and_all_offsets_are_equally_likely():
    draws, padding = 5000, 2
    image = np.arange(1, 9 * 7 * 3 + 1, dtype=np.float32).reshape(9, 7, 3)
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)))
    slices = {
        padded[i : i + 9, j : j + 7].tobytes(): (i, j) for i in range(5) for j in range(5)
    }
    crops = np.asarray(many(ShiftedCrop(padding), image, draws))
    offsets = Counter(slices[crop.tobytes()] for crop in crops)
    assert len(offsets) == 25
    # 24 degrees of freedom: 1 draw in 10,000 exceeds 60; the key is fixed.
    assert chi_squared(offsets.values(), draws, 25) < 60


def test_crop_without_padding_is_the_image():
    image = unit(bytes_of(1))[0]
    np.testing.assert_array_equal(ShiftedCrop(0)(jax.random.key(3), image, ()), image)


def test_flip_mirrors_about_half_of_the_images():
    image = unit(bytes_of(1))[0]
    flipped = np.asarray(many(HorizontalFlip(), image, 2000))
    mirrored = sum(np.array_equal(f, image[:, ::-1]) for f in flipped)
    untouched = sum(np.array_equal(f, image) for f in flipped)
    assert mirrored + untouched == 2000
    assert abs(mirrored - 1000) < 4 * 22.4  # 4 deviations of a binomial of 2000


@pytest.mark.parametrize(("probability", "step"), [(0.0, 1), (1.0, -1)])
def test_flip_with_certainty(probability, step):
    image = unit(bytes_of(1))[0]
    for result in many(HorizontalFlip(probability), image, 20):
        np.testing.assert_array_equal(result, image[:, ::step])


def test_principal_colours_diagonalise_the_covariance_of_all_pixels():
    images = bytes_of(20)
    facts = PcaColourNoise().fit(images)
    covariance = np.cov(images.reshape(-1, 3).T / 255.0, bias=True)
    rebuilt = facts.directions @ np.diag(facts.variances) @ facts.directions.T
    # float32 of numbers near 0.08
    np.testing.assert_allclose(rebuilt, covariance, atol=1e-7)
    assert list(facts.variances) == sorted(facts.variances)
    for column in facts.directions.T:
        assert column[np.abs(column).argmax()] > 0


def test_colour_noise_has_the_covariance_of_the_formula():
    rng = np.random.default_rng(2)
    colours = rng.normal(128, 30, (40, 6, 6, 1)) + rng.normal(0, [20, 8, 4], (40, 6, 6, 3))
    images = colours.clip(0, 255).astype(np.uint8)
    noise = PcaColourNoise(deviation=0.1)
    facts, image = noise.fit(images), unit(images[0])
    shifts = np.asarray(many(noise, image, 20_000, facts)) - np.asarray(image)
    # The same colour for every pixel of an image; float32 near 1.
    assert np.ptp(shifts, axis=(1, 2)).max() < 5e-7
    drawn = np.cov(shifts[:, 0, 0].T, bias=True)
    covariance = np.cov(images.reshape(-1, 3).T / 255.0, bias=True)
    # P diag(l) [0.1^2 I] diag(l) P^T = 0.01 C C; 20,000 draws know it to about 1 % each.
    expected = 0.01 * covariance @ covariance
    np.testing.assert_allclose(drawn, expected, atol=0.05 * expected.max())


@pytest.mark.parametrize(("channels", "says"), [(1, r"have 1 \(grey\)"), (4, "have 4")])
def test_colour_noise_refuses_what_is_not_rgb(channels, says):
    with pytest.raises(UserError, match=f"3 channels.*{says}"):
        fit_augmentations((PcaColourNoise(),), bytes_of(channels=channels))


def test_colours_of_grey_pictures_in_rgb_are_one_direction():
    images = bytes_of(channels=1).repeat(3, axis=-1)
    facts = PcaColourNoise().fit(images)
    np.testing.assert_allclose(facts.directions[:, 2], 3**-0.5, rtol=1e-6)  # float32
    np.testing.assert_allclose(facts.variances[:2], 0, atol=1e-9)


@pytest.fixture(scope="module")
def augment():
    """All augmentations, compiled once: (key, images, position of the first) -> images."""
    facts = fit_augmentations(ALL, bytes_of())

    def at(key, images, first_row):
        with batch_layout(BatchLayout(first_row=first_row)):
            return augment_batch(ALL, facts, key, images)

    return jax.jit(at)


def test_the_same_key_gives_the_same_images_and_another_key_others(augment):
    images = unit(bytes_of())
    first, again, other = (augment(jax.random.key(s), images, 0) for s in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert all(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    assert first.shape == images.shape
    assert first.dtype == jnp.float32


def test_a_row_depends_on_its_position_alone_and_not_on_its_batch(augment):
    images, key = np.asarray(unit(bytes_of())), jax.random.key(6)
    whole = np.asarray(augment(key, images, 0))
    halves = [augment(key, images[first : first + 4], first) for first in (0, 4)]
    # Another shape is another program: a fused multiply-add may round differently.
    np.testing.assert_allclose(whole, np.concatenate(halves), atol=2e-6)
    # Equal images at different positions do not get equal treatment.
    same = augment(key, np.repeat(images[:1], 8, axis=0), 0)
    assert len({row.tobytes() for row in np.asarray(same)}) == 8


def test_augmentations_are_applied_in_the_declared_order_with_keys_of_their_own():
    image, key = unit(bytes_of(1)), jax.random.key(9)
    row = jax.random.fold_in(key, 0)
    for augmentations in (ALL[:2], ALL[1::-1]):
        by_hand = image[0]
        for index, augmentation in enumerate(augmentations):
            by_hand = augmentation(jax.random.fold_in(row, index), by_hand, ())
        result = augment_batch(augmentations, ((), ()), key, image)[0]
        np.testing.assert_array_equal(result, by_hand)


def test_no_augmentation_is_the_identity():
    images = unit(bytes_of())
    assert augment_batch((), (), jax.random.key(0), images) is images


def test_bad_numbers_are_refused_when_declared():
    with pytest.raises(ValueError, match="padding -1 is negative"):
        ShiftedCrop(-1)
    with pytest.raises(ValueError, match=r"probability 1.5 is not in \[0, 1\]"):
        HorizontalFlip(1.5)
    with pytest.raises(ValueError, match="deviation nan"):
        PcaColourNoise(float("nan"))
    with pytest.raises(ValueError, match="0 facts for 1 augmentations"):
        augment_batch((ShiftedCrop(1),), (), jax.random.key(0), unit(bytes_of()))
