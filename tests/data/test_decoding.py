import io
import re

import numpy as np
import pytest

from cnn_jax.data import decoding
from cnn_jax.data.decoding import ImageFile, decode_image, decode_images
from cnn_jax.errors import UserError


def encoded(image, format="PNG", **options):
    written = io.BytesIO()
    image.save(written, format, **options)
    return ImageFile(f"dir/{format}", written.getvalue())


def noise(height=8, width=8, channels=3, seed=0):
    from PIL import Image

    shape = (height, width, channels) if channels == 3 else (height, width)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return Image.fromarray(pixels), pixels


def test_an_image_of_the_right_size_is_untouched():
    image, pixels = noise(6, 9)
    got = decode_images([encoded(image)], (6, 9, 3))
    assert got.dtype == np.uint8
    assert (got[0] == pixels).all()


def test_jpegs_with_one_header_decode_as_pillow_decodes_them():
    from PIL import Image

    files = []
    for seed in range(6):
        image, _ = noise(16, 16, seed=seed)
        files.append(encoded(image, "JPEG", quality=60))
        files.append(encoded(image, "JPEG", quality=30))  # other tables
        files.append(encoded(image.convert("L"), "JPEG", quality=60))
        files.append(encoded(image, "JPEG", progressive=True))
    for shape in ((16, 16, 3), (16, 16, 1)):
        got = decode_images(files, shape)
        mode = "RGB" if shape[2] == 3 else "L"
        for file, image in zip(files, got, strict=True):
            alone = Image.open(io.BytesIO(file.content)).convert(mode)
            assert (image == np.asarray(alone).reshape(shape)).all()


def test_the_short_ways_for_jpegs_are_taken(monkeypatch):
    opened = []
    original = decoding.open_picture
    monkeypatch.setattr(
        decoding, "open_picture", lambda file: opened.append(file) or original(file)
    )
    files = [encoded(noise(16, 16, seed=s)[0], "JPEG") for s in range(5)]
    decode_images(files, (16, 16, 3))
    assert opened == []
    monkeypatch.setattr(decoding, "_simplejpeg", lambda: None)
    decode_images(files, (16, 16, 3))
    assert opened == files[:1]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (37, 50), (90, 64)])
def test_both_decoders_give_the_same_bits(monkeypatch, height, width):
    image, _ = noise(height, width)
    options = [
        {"quality": quality, "subsampling": subsampling, "progressive": progressive}
        for quality in (30, 75, 95)
        for subsampling in (0, 1, 2)
        for progressive in (False, True)
    ]
    files = [encoded(image, "JPEG", **o) for o in options]
    files += [encoded(image.convert("L"), "JPEG", **o) for o in options[:6]]
    files.append(encoded(image, "JPEG", keep_rgb=True))
    taken = []
    fast = decoding._fast_jpeg
    monkeypatch.setattr(
        decoding, "_fast_jpeg", lambda *a: taken.append(fast(*a)) or taken[-1]
    )
    ours = [decode_image(file, 3) for file in files]
    assert len(taken) == len(files)
    assert all(picture is not None for picture in taken)
    monkeypatch.setattr(decoding, "_simplejpeg", lambda: None)
    for file, mine in zip(files, ours, strict=True):
        assert (mine == decode_image(file, 3)).all()


def test_what_is_not_so_plain_goes_to_pillow(monkeypatch):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    image, _ = noise(20, 30)
    cmyk = encoded(image.convert("CMYK"), "JPEG")
    turned = encoded(image, "JPEG", exif=exif)
    png = ImageFile("called.jpg", encoded(image).content)
    files = [cmyk, turned, png]
    ours = [decode_image(file, 3) for file in files]
    assert [o.shape for o in ours] == [(20, 30, 3), (30, 20, 3), (20, 30, 3)]
    monkeypatch.setattr(decoding, "_simplejpeg", lambda: None)
    for file, mine in zip(files, ours, strict=True):
        assert (mine == decode_image(file, 3)).all()


def test_the_decoder_is_told_with_its_version(monkeypatch):
    assert re.match(
        r"simplejpeg 1\.\d+.*, Pillow \d+.* \(libjpeg-turbo", decoding.decoder()
    )
    monkeypatch.setattr(decoding, "_simplejpeg", lambda: None)
    assert decoding.decoder().startswith("Pillow ")


def test_a_truncated_jpeg_is_named_even_after_a_good_one():
    good = encoded(noise(32, 32)[0], "JPEG")
    for cut in (100, 700, len(good.content) - 200):
        bad = ImageFile("dir/bad.jpg", good.content[:cut])
        for files in ([bad], [good, bad]):
            with pytest.raises(UserError, match=r"^dir/bad.jpg can't be decoded") as caught:
                decode_images(files, (32, 32, 3))
            assert "\n" not in str(caught.value)
            assert "0x" not in str(caught.value)  # no address of an object


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\nxxxxxxxxxxxxxxxx"])
def test_what_is_no_image_is_named(content):
    with pytest.raises(UserError, match=r"^a.tar!train/x.png can't be decoded"):
        decode_images([ImageFile("a.tar!train/x.png", content)], (8, 8, 3))


def test_a_truncated_png_is_named():
    whole = encoded(noise(32, 32)[0])
    with pytest.raises(UserError, match=r"^p.png can't be decoded"):
        decode_images([ImageFile("p.png", whole.content[:1000])], (32, 32, 3))


def test_grey_becomes_colour_and_colour_grey():
    image, pixels = noise(channels=1)
    got = decode_images([encoded(image)], (8, 8, 3))[0]
    assert (got == pixels[..., None]).all()
    image, pixels = noise()
    got = decode_images([encoded(image)], (8, 8, 1))[0, ..., 0]
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    assert np.abs(got - luma).max() <= 1  # rounding


def test_palette_alpha_cmyk_and_bilevel_images_become_rgb():
    from PIL import Image

    _, pixels = noise()
    with_alpha = Image.fromarray(np.dstack([pixels, np.full((8, 8), 7, np.uint8)]))
    assert (decode_images([encoded(with_alpha)], (8, 8, 3))[0] == pixels).all()

    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    for options in ({}, {"transparency": b"\x00\x80"}):
        got = decode_images([encoded(palette, **options)], (8, 8, 3))[0]
        assert (got == (10, 200, 30)).all()

    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    red = decode_images([encoded(cmyk, "TIFF")], (8, 8, 3))[0]
    assert (red == (255, 0, 0)).all()

    white = decode_images([encoded(Image.new("1", (8, 8), 1))], (8, 8, 3))
    assert (white == 255).all()


def test_16_bit_grey_keeps_its_upper_byte_and_32_bit_is_refused():
    from PIL import Image

    wide = Image.fromarray(np.full((8, 8), 0x40FF, np.uint16))
    assert (decode_images([encoded(wide)], (8, 8, 1)) == 0x40).all()
    floating = Image.fromarray(np.zeros((8, 8), np.float32))
    with pytest.raises(UserError, match="32-bit pixels"):
        decode_images([encoded(floating, "TIFF")], (8, 8, 1))


def test_the_exif_orientation_is_applied():
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # the picture was taken with the camera turned: rotate clockwise
    image, pixels = noise(4, 6)
    got = decode_images([encoded(image, exif=exif)], (6, 4, 3))
    assert (got[0] == np.rot90(pixels, -1)).all()
    # A turned JPEG between upright ones of the same size must not go their short way.
    upright = encoded(noise(8, 8)[0], "JPEG")
    turned = encoded(noise(8, 8)[0], "JPEG", exif=exif)
    got = decode_images([upright, turned, turned, upright], (8, 8, 3))
    assert (got[1] == np.rot90(got[0], -1)).all()
    assert (got[2] == got[1]).all()
    assert (got[3] == got[0]).all()


def test_another_size_is_covered_and_its_middle_cut_out():
    from PIL import Image

    # 20 x 60, three squares: red, green, blue. The middle square of the result is green.
    pixels = np.zeros((20, 60, 3), np.uint8)
    for i in range(3):
        pixels[:, 20 * i : 20 * (i + 1), i] = 255
    file = encoded(Image.fromarray(pixels))
    got = decode_images([file], (10, 10, 3))[0]
    assert (got[:, 1:-1] == (0, 255, 0)).all()
    got = decode_images([file], (20, 20, 3))[0]  # same short side: only cut
    assert (got == pixels[:, 20:40]).all()
    got = decode_images([file], (10, 30, 3))[0]  # the whole picture, halved
    assert (got[:, 11:19] == (0, 255, 0)).all()
    assert (got[:, :9] == (255, 0, 0)).all()
    assert decode_images([file], (7, 7, 1)).shape == (1, 7, 7, 1)
    assert decode_images([file], (64, 3, 3)).shape == (1, 64, 3, 3)


def test_making_it_smaller_averages():
    image, pixels = noise(64, 64, channels=1)
    got = decode_images([encoded(image)], (8, 8, 1))
    # Bilinear with antialias averages over 16 x 16 pixels, so the spread of noise shrinks
    # far below the 74 that picking single pixels would keep.
    assert got.std() < 20
    assert abs(got.mean() - pixels.mean()) < 5


def test_a_demanded_size_is_checked():
    file = encoded(noise(8, 9)[0])
    with pytest.raises(UserError, match=r"dir/PNG has 9x8 pixels, expected 8x8"):
        decode_images([file], (8, 8, 3), side=8)


def test_threads_give_the_same_images_and_the_same_error(monkeypatch):
    files = [encoded(noise(16, 16, seed=s)[0], "JPEG") for s in range(150)]
    plain = decode_images(files, (16, 16, 3))
    monkeypatch.setattr(decoding, "WORTH_A_THREAD", 1)
    assert (decode_images(files, (16, 16, 3)) == plain).all()
    files[140] = ImageFile("dir/bad", b"bad")
    with pytest.raises(UserError, match="dir/bad"):
        decode_images(files, (16, 16, 3))


def test_no_files_give_an_empty_array():
    assert decode_images([], (8, 8, 3)).shape == (0, 8, 8, 3)
