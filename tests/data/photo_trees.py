"""An ImageNet-like tree, made for tests: JPEGs of mixed sizes and kinds."""

import io

import numpy as np

KINDS = ("colour", "grey", "cmyk", "turned", "png", "progressive")


def picture(draw, kind="colour", *, height=40, width=52):
    """The bytes of one file with smooth content, as JPEG unless it is a PNG."""
    from PIL import Image

    coarse = draw.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    options = {"quality": int(draw.integers(60, 96))}
    if kind == "grey":
        image = image.convert("L")
    elif kind == "cmyk":
        image = image.convert("CMYK")
    elif kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        options["exif"] = exif
    elif kind == "progressive":
        options["progressive"] = True
    written = io.BytesIO()
    image.save(written, "PNG" if kind == "png" else "JPEG", **options)
    return written.getvalue()


def make_photos(root, classes=("cat", "dog"), *, counts, seed=0, size=(24, 72)):
    """A tree ``train/<class>/*.jpg``, ``test/<class>/*.jpg``; every kind is in it."""
    draw = np.random.default_rng(seed)
    number = 0
    for split, count in counts.items():
        for folder in classes:
            (root / split / folder).mkdir(parents=True)
            for index in range(count):
                # Most are plain, as in ImageNet.
                kind = KINDS[number % 12] if number % 12 < len(KINDS) else "colour"
                height, width = (int(draw.integers(*size)) for _ in range(2))
                content = picture(draw, kind, height=height, width=width)
                (root / split / folder / f"{index:03}.jpg").write_bytes(content)
                number += 1
    return root
