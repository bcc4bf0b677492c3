import numpy as np
import pytest

from cnn_jax.maths.wavelets import coarser, filter_bank, gaussian_line, littlewood_paley


def test_a_wavelet_is_the_morlet_of_the_paper_in_space():
    """Sampled in space and summed over the torus, then transformed by NumPy."""
    size, slant, angle = 32, 0.5, np.pi / 4
    bank = filter_bank((size, size), 2, 8)
    wave, envelope = np.zeros((2, size, size), complex)
    for j, found in enumerate(bank.wavelets[:, 2]):
        wave[:], envelope[:] = 0.0, 0.0
        for row, column in np.ndindex(5, 5):  # periods of the torus
            y, x = np.mgrid[:size, :size] + size * np.array([row - 2, column - 2]).reshape(
                2, 1, 1
            )
            # Rows count downwards; the wave of angle pi / 4 runs to the upper right.
            along = np.cos(angle) * x - np.sin(angle) * y
            across = -np.sin(angle) * x - np.cos(angle) * y
            square = (along**2 + (slant * across) ** 2) / (2 * (0.8 * 2**j) ** 2)
            gaussian = slant / (2 * np.pi * (0.8 * 2**j) ** 2) * np.exp(-square)
            envelope += gaussian
            wave += gaussian * np.exp(1j * 0.75 * np.pi / 2**j * along)
        morlet = wave - wave.sum() / envelope.sum() * envelope
        # J = 2 needs no normalisation. Two periods of frequency are enough for 1e-9.
        np.testing.assert_allclose(np.fft.fft2(morlet), found, atol=1e-9)


def test_the_low_pass_has_sum_one_and_its_deviation():
    line = np.fft.ifft(gaussian_line(64, 3.2)).real
    assert line.sum() == pytest.approx(1.0, abs=1e-12)
    assert (np.fft.fftfreq(64, 1 / 64) ** 2 * line).sum() == pytest.approx(3.2**2, rel=1e-6)
    bank = filter_bank((16, 24), 2, 4)
    assert bank.low_pass.shape == (16, 24)
    assert bank.low_pass[0, 0] == 1.0
    np.testing.assert_allclose(bank.low_pass[:, 0], gaussian_line(16, 1.6))
    assert (bank.wavelets[:, :, 0, 0] == 0.0).all()  # a constant image has no waves


@pytest.mark.parametrize(
    ("octaves", "angles", "factor"),
    [(1, 8, 1.0), (2, 8, 1.0), (3, 8, 0.990), (4, 8, 0.977)],
)
def test_no_bank_adds_energy_at_any_frequency(octaves, angles, factor):
    bank = filter_bank((64, 64), octaves, angles)
    energy = littlewood_paley(bank)
    assert energy.max() <= 1.0 + 1e-12
    # J = 2 needs no factor, so its finest wavelet is the paper's.
    finest = filter_bank((64, 64), 2, angles).wavelets[0]
    found = bank.wavelets[0].max() / finest.max()
    assert found == pytest.approx(factor, abs=6e-3)  # 64 frequencies may miss the highest
    # Waves up to 3/4 of the highest frequency keep more than half of their energy.
    omega = np.fft.fftfreq(64, 0.5)
    assert energy[np.hypot(omega[:, None], omega) < 0.75].min() > 0.5


@pytest.mark.parametrize("angles", [1, 2, 3, 5])
def test_a_bank_of_few_angles_adds_no_energy_either(angles):
    assert littlewood_paley(filter_bank((32, 40), 2, angles)).max() <= 1.0 + 1e-12


def test_the_energy_is_that_of_a_random_image(draw):
    """Parseval: the sum over all frequencies of a real image."""
    bank = filter_bank((12, 16), 1, 3)
    x = draw.standard_normal((12, 16))
    spectrum = np.fft.fft2(x)
    maps = [np.fft.ifft2(spectrum * f) for f in (bank.low_pass, *bank.wavelets[0])]
    kept = sum((np.abs(m) ** 2).sum() for m in maps)
    assert kept == pytest.approx(
        (np.abs(spectrum) ** 2 * littlewood_paley(bank)).sum() / x.size, rel=1e-12
    )
    assert kept < (x**2).sum()


def test_turning_by_a_right_angle_takes_a_wavelet_to_another():
    wavelets = filter_bank((16, 16), 2, 4).wavelets

    def turn(f):  # counter-clockwise, about frequency 0
        shifted = np.roll(f, (8, 8), (0, 1))[1:, 1:]  # the lone frequency -8 has no mirror
        return np.rot90(shifted)

    for j in range(2):
        for angle in (0, 1):
            turned = turn(wavelets[j, angle])
            there = np.roll(wavelets[j, angle + 2], (8, 8), (0, 1))[1:, 1:]
            np.testing.assert_allclose(turned, there, atol=1e-12)


def test_a_coarser_bank_is_the_same_function_of_frequency():
    bank = filter_bank((16, 24), 2, 2)
    small = coarser(bank.wavelets, 1)
    assert small.shape == (2, 2, 8, 12)
    for row in range(-4, 4):
        for column in range(-6, 6):
            np.testing.assert_array_equal(
                small[..., row, column], bank.wavelets[..., row, column]
            )
    np.testing.assert_array_equal(coarser(bank.low_pass, 0), bank.low_pass)
    with pytest.raises(ValueError, match="read-only"):
        bank.low_pass[0, 0] = 2.0
