"""A page of small pictures, row by row: a contact sheet."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

TILE = 96
"""Smaller images are enlarged to about so many pixels, by a whole number."""
GAP, TEXT = 6, 14  # pixels between tiles; height of the letters
INK, PAPER = (0, 0, 0), (255, 255, 255)


class Row(NamedTuple):
    """Pictures side by side: uint8 [height, width, 1 or 3], and what they are."""

    title: str
    images: Sequence[np.ndarray]


def contact_sheet(title: str, columns: Sequence[str], rows: Sequence[Row]) -> bytes:
    """Return a PNG file of the pictures; the same pictures give the same file.

    Args:
        title: line at the top.
        columns: what stands above the pictures; cut off to their width.
        rows: of as many pictures as there are columns; of any size, each in the middle of
            its place.

    Raises:
        ValueError: a row has another number of pictures.
    """
    from PIL import Image, ImageDraw, ImageFont

    for row in rows:
        if len(row.images) != len(columns):
            raise ValueError(
                f"row {row.title!r} has {len(row.images)} pictures, not {len(columns)}"
            )
    largest = max(max(image.shape[:2]) for row in rows for image in row.images)
    scale = max(1, round(TILE / largest))
    tile, line = largest * scale, TEXT + GAP
    font = ImageFont.load_default(TEXT)
    margin = GAP + max(int(font.getlength(row.title)) for row in rows) + GAP
    size = (margin + len(columns) * (tile + GAP), 2 * line + len(rows) * (tile + GAP) + GAP)
    width = max(size[0], int(font.getlength(title)) + 2 * GAP)
    sheet = Image.new("RGB", (width, size[1]), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, GAP // 2), title, INK, font)
    for j, text in enumerate(columns):
        while text and font.getlength(text) > tile:
            text = text[:-1]
        draw.text((margin + j * (tile + GAP), line), text, INK, font)
    for i, row in enumerate(rows):
        top = 2 * line + GAP + i * (tile + GAP)
        draw.text((GAP, top + (tile - TEXT) // 2), row.title, INK, font)
        for j, image in enumerate(row.images):
            height, across = (side * scale for side in image.shape[:2])
            colour = np.broadcast_to(image, (*image.shape[:2], 3))
            picture = Image.fromarray(np.ascontiguousarray(colour))
            left = margin + j * (tile + GAP) + (tile - across) // 2
            enlarged = picture.resize((across, height), Image.Resampling.NEAREST)
            sheet.paste(enlarged, (left, top + (tile - height) // 2))
    written = io.BytesIO()
    sheet.save(written, "PNG")
    return written.getvalue()
