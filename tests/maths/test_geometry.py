import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnn_jax.maths.geometry import WindowError, output_size, window_padding


@pytest.mark.parametrize(
    ("size", "window", "stride", "padding", "expected"),
    [
        (6, 3, 1, 0, 4),  # Kondor's slides
        (8, 3, 1, 0, 6),
        (227, 11, 4, 0, 55),  # AlexNet conv1
        (55, 3, 2, 0, 27),  # AlexNet pool1
        (7, 3, 1, 0, 5),  # Vilaplana's slides
        (7, 3, 2, 0, 3),
        (7, 3, 1, 1, 7),
        (32, 5, 1, 0, 28),
        (32, 5, 1, 2, 32),
        (63, 7, 2, 0, 29),  # exercise 3
        (63, 7, 1, 3, 63),  # exercise 4
        (32, 2, 2, 0, 16),  # exercise 5
        (224, 11, 4, 0, 54),  # why AlexNet's printed 224 cannot give its 55 x 55
    ],
)
def test_output_size_agrees_with_the_lectures(size, window, stride, padding, expected):
    assert output_size(size, window, stride, padding) == expected


@pytest.mark.parametrize(
    ("size", "window", "stride", "padding", "floor", "ceil"),
    [
        (110, 3, 2, 0, 54, 55),  # ZFNet pool1 needs the ceiling for its 55
        (26, 3, 2, 0, 12, 13),  # ZFNet pool2
        (112, 3, 2, 0, 55, 56),  # GoogLeNet pool1
        (5, 2, 2, 0, 2, 3),
        (3, 2, 2, 1, 2, 2),  # a third window would lie in the padding
        (4, 2, 2, 0, 2, 2),
    ],
)
def test_ceil_mode_keeps_the_last_pixels(size, window, stride, padding, floor, ceil):
    assert output_size(size, window, stride, padding) == floor
    assert output_size(size, window, stride, padding, ceil=True) == ceil


windows = st.tuples(
    st.integers(1, 40), st.integers(1, 9), st.integers(1, 9), st.integers(0, 4)
)


def _starts_by_walking(size, window, stride, padding, *, ceil):
    """Starts of the windows, in pixels of the unpadded input, found by sliding."""
    starts = [-padding]
    while True:
        start = starts[-1] + stride
        fits = start + window <= size + padding
        something_left = starts[-1] + window < size + padding
        # Caffe and torch drop a window whose first pixel is padding after the input.
        in_ceil_mode = ceil and something_left and start < size
        if not (fits or in_ceil_mode):
            return starts
        starts.append(start)


@given(windows)
def test_output_size_is_the_number_of_windows_that_fit(case):
    size, window, stride, padding = case
    if window > size + 2 * padding:
        with pytest.raises(WindowError):
            output_size(size, window, stride, padding)
        return
    expected = len(_starts_by_walking(size, window, stride, padding, ceil=False))
    assert output_size(size, window, stride, padding) == expected


@given(windows.filter(lambda case: case[3] < case[1] <= case[0] + 2 * case[3]))
def test_ceil_mode_adds_the_window_that_starts_inside_the_input(case):
    size, window, stride, padding = case
    expected = len(_starts_by_walking(size, window, stride, padding, ceil=True))
    assert output_size(size, window, stride, padding, ceil=True) == expected


@given(windows.filter(lambda case: case[3] < case[1] <= case[0] + 2 * case[3]))
def test_in_ceil_mode_no_pixel_within_a_stride_is_left_out(case):
    size, window, stride, padding = case
    count = output_size(size, window, stride, padding, ceil=True)
    last = (count - 1) * stride - padding
    assert last < size  # the last window sees at least one pixel
    assert last + max(window, stride) >= size  # and no window could follow inside


@given(windows.filter(lambda case: case[3] < case[1] <= case[0] + 2 * case[3]))
def test_window_padding_turns_ceil_mode_into_floor_mode(case):
    size, window, stride, padding = case
    before, after = window_padding(size, window, stride, padding, ceil=True)
    assert before == padding
    assert after >= padding
    padded = size + before + after
    assert output_size(padded, window, stride) == output_size(
        size, window, stride, padding, ceil=True
    )
    assert window_padding(size, window, stride, padding) == (padding, padding)


def test_a_window_larger_than_the_padded_input_is_refused():
    with pytest.raises(WindowError, match="a window of 11 does not fit 5 pixels with pad"):
        output_size(5, 11, 4, 2)
    assert output_size(5, 9, 4, 2) == 1


@pytest.mark.parametrize("bad", [(3, 0, 0), (0, 1, 0), (3, 1, -1)])
def test_a_window_that_is_none_is_refused(bad):
    window, stride, padding = bad
    with pytest.raises(WindowError, match="at least 1"):
        output_size(9, window, stride, padding)
