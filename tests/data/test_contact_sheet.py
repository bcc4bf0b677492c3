"""A page of small pictures."""

import io

import numpy as np
import pytest
from PIL import Image

from cnn_jax.data.contact_sheet import GAP, Row, contact_sheet

COLOUR = (90, 10, 30)  # no shade of a letter


def page(*rows, columns=("first", "second"), title="title"):
    return np.asarray(Image.open(io.BytesIO(contact_sheet(title, columns, rows))))


def places(drawn, colour):
    """Return top, left, bottom and right of the pixels of one colour."""
    rows, columns = np.nonzero((drawn == colour).all(-1))
    return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1


def test_pictures_are_enlarged_by_whole_numbers_and_lie_in_a_grid():
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (120, 120, 0)]
    images = [np.full((32, 32, 3), colour, np.uint8) for colour in colours]
    drawn = page(Row("above", images[:2]), Row("below", images[2:]))
    boxes = [places(drawn, colour) for colour in colours]
    for top, left, bottom, right in boxes:
        assert (bottom - top, right - left) == (96, 96)
    assert boxes[0][0] == boxes[1][0]
    assert boxes[0][1] == boxes[2][1]
    assert boxes[1][1] - boxes[0][3] == boxes[2][0] - boxes[0][2] == GAP


def test_smaller_grey_pictures_lie_in_the_middle_and_keep_their_pixels():
    large = np.full((64, 96, 3), COLOUR, np.uint8)
    small = np.array([[[40], [41]], [[42], [43]]], np.uint8).repeat(12, 0).repeat(12, 1)
    drawn = page(Row("as stored", [large, large]), Row("changed", [small, small]))
    top, left, bottom, right = places(drawn, COLOUR)
    assert bottom - top == 64
    assert right - left == 96 + GAP + 96
    # The place below is 96 pixels high and wide, as the one above.
    row, column = top - 16 + 96 + GAP + 36, left + 36
    box = drawn[row : row + 24, column : column + 24]
    np.testing.assert_array_equal(box, np.broadcast_to(small, (24, 24, 3)))


def test_long_names_stay_above_their_picture_and_the_title_is_whole():
    image = np.full((96, 96, 3), COLOUR, np.uint8)
    drawn = page(Row("row", [image, image]), columns=("m" * 99, ""), title="t" * 99)
    columns = np.nonzero((drawn[20:34] < 250).any((0, 2)))[0]  # the line of names
    _, left, _, _ = places(drawn, COLOUR)
    assert left <= columns.min()
    assert columns.max() < left + 96
    assert drawn.shape[1] > 2 * 96 + 300


def test_a_row_that_is_too_short_is_refused():
    with pytest.raises(ValueError, match="row 'short' has 1 pictures, not 2"):
        page(Row("short", [np.zeros((4, 4, 3), np.uint8)]))
