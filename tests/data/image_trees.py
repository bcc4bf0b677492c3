"""Trees of small images, made for tests."""

import io

COUNTS = {"train": 12, "test": 3}


def image_bytes(level, *, side=32, format="PNG", **options):
    from PIL import Image

    written = io.BytesIO()
    Image.new("RGB", (side, side), (level, 255 - level, 7)).save(written, format, **options)
    return written.getvalue()


def make_tree(root, classes=("cat", "dog"), *, counts=COUNTS, suffix="png", **options):
    """Images whose red channel is 100 * (train?) + 12 * class + number."""
    for split, count in counts.items():
        for label, folder in enumerate(classes):
            (root / split / folder).mkdir(parents=True)
            for number in range(count):
                level = 100 * (split == "train") + 12 * label + number
                path = root / split / folder / f"{number}.{suffix}"
                path.write_bytes(image_bytes(level, **options))
    return root
