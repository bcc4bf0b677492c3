import io

import pytest

from cnn_jax.data.jpeg_quality import CHROMINANCE, LUMINANCE, quality_of, scaled_table


def tables_of(quality, mode="RGB", **options):
    from PIL import Image

    written = io.BytesIO()
    Image.new(mode, (8, 8)).save(written, "JPEG", quality=quality, **options)
    return Image.open(io.BytesIO(written.getvalue())).quantization


def test_every_quality_that_libjpeg_writes_is_found():
    for quality in range(1, 101):
        assert quality_of(tables_of(quality)) == quality
        assert quality_of(tables_of(quality, subsampling=0)) == quality


def test_a_grey_file_has_one_table():
    for quality in (10, 75, 95):
        assert quality_of(tables_of(quality, "L")) == quality


def test_scaling_by_hand():
    assert scaled_table(LUMINANCE, 50) == LUMINANCE
    # 75: 50 percent, rounded half up: (16 * 50 + 50) // 100 = 8, (11 * 50 + 50) // 100 = 6
    assert scaled_table(LUMINANCE, 75)[:4] == (8, 6, 5, 8)
    assert scaled_table(CHROMINANCE, 25)[:3] == (34, 36, 48)
    assert set(scaled_table(LUMINANCE, 100)) == {1}  # never 0
    assert max(scaled_table(LUMINANCE, 1)) == 255  # never above a byte
    with pytest.raises(ValueError, match="1 to 100, not 0"):
        scaled_table(LUMINANCE, 0)


def test_other_tables_have_no_quality():
    tables = {0: list(LUMINANCE), 1: list(CHROMINANCE)}
    assert quality_of(tables) == 50
    tables[1][5] += 1
    assert quality_of(tables) is None
    assert quality_of({0: LUMINANCE, 1: CHROMINANCE, 2: CHROMINANCE}) is None
    assert quality_of({}) is None
