"""Sizes of sliding windows."""

from typing import NamedTuple


class WindowError(ValueError):
    """A window that does not fit its input."""


class Padding(NamedTuple):
    """Rows or columns added before and after."""

    before: int
    after: int


def output_size(
    size: int, window: int, stride: int = 1, padding: int = 0, *, ceil: bool = False
) -> int:
    """Return the number of positions of a sliding window along one axis.

    ``floor((size + 2 padding - window) / stride) + 1``; with ``ceil`` the division
    rounds up, and a last window that would start in the padding after the input is
    dropped (the rule of Caffe and torch).

    Args:
        size: input length in pixels.
        window: kernel length in pixels.
        stride: step in pixels.
        padding: pixels added on each side.
        ceil: round up, so that no input pixel is left out.

    Raises:
        WindowError: the window is larger than the padded input, or it is not a window.
    """
    if window < 1 or stride < 1 or padding < 0:
        raise WindowError(
            f"window {window}, stride {stride}, padding {padding}: window and stride must "
            f"be at least 1, padding at least 0"
        )
    room = size + 2 * padding - window
    if room < 0:
        raise WindowError(
            f"a window of {window} does not fit {size} pixels with padding {padding}"
        )
    if not ceil:
        return room // stride + 1
    count = -(-room // stride) + 1
    if (count - 1) * stride >= size + padding:
        count -= 1
    return count


def window_padding(
    size: int, window: int, stride: int = 1, padding: int = 0, *, ceil: bool = False
) -> Padding:
    """Return the padding that makes a floor-mode window give ``output_size``.

    In ceil mode the last window may hang over the end; the overhang is padding after
    the input. In floor mode this is ``(padding, padding)``.

    Raises:
        WindowError: the window is larger than the padded input.
    """
    count = output_size(size, window, stride, padding, ceil=ceil)
    overhang = (count - 1) * stride + window - (size + 2 * padding)
    return Padding(padding, padding + max(overhang, 0))
