"""Find the quality that a JPEG file was written with.

Source: ITU-T T.81 (1992), Annex K, tables K.1 and K.2; the scaling is that of the
    Independent JPEG Group's library, ``jcparam.c``, ``jpeg_quality_scaling``.
"""

from collections.abc import Mapping, Sequence

# T.81, tables K.1 (luminance) and K.2 (chrominance), row by row.
LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61,
    12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77,
    24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
CHROMINANCE = (
    17, 18, 24, 47, 99, 99, 99, 99,
    18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99,
    *([99] * 32),
)  # fmt: skip


def scaled_table(table: Sequence[int], quality: int) -> tuple[int, ...]:
    """Return a quantisation table scaled to a quality of 1 to 100, values 1 to 255."""
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must be 1 to 100, not {quality}")
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return tuple(min(max((value * percent + 50) // 100, 1), 255) for value in table)


def quality_of(tables: Mapping[int, Sequence[int]]) -> int | None:
    """Return the quality whose scaled standard tables a file holds, or None.

    Args:
        tables: 64 numbers each, row by row, by number: 0 luminance and, in a colour file,
            1 chrominance (``quantization`` of a JPEG that Pillow opened).
    """
    standard = (LUMINANCE, CHROMINANCE)
    if 0 not in tables or not set(tables) <= {0, 1}:
        return None
    for quality in range(100, 0, -1):
        if all(
            tuple(held) == scaled_table(standard[number], quality)
            for number, held in tables.items()
        ):
            return quality
    return None
