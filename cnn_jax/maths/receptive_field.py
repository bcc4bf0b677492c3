"""What the units of a map see of the image, along one axis.

Two answers are kept side by side, since both are asked for. On an endless image every unit
sees the same number of pixels, a stride away from its neighbour: the receptive field that
papers quote. On the image as it is, a unit at the border sees less, and what a window
leaves over is seen by nobody.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_NOTHING = np.iinfo(np.int64).max  # the first pixel of a unit that sees none; the last: -1


class Extent(NamedTuple):
    """The pixels that the units along one axis of a map see, smallest interval each.

    Attributes:
        stride: pixels between the windows of neighbouring units; 0 for units without place.
        low: first pixel that unit 0 sees of an endless image; negative in padding.
        high: last pixel that unit 0 sees of an endless image.
        first: first pixel that each unit sees of the image as it is, [units].
        last: last pixel that each unit sees, [units]; -1 if it sees none.
        everywhere: a unit sees all that any of them sees, e.g. after a global mean; ``low``
            and ``high`` then mean nothing.
    """

    stride: int
    low: int
    high: int
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    everywhere: bool = False

    @property
    def size(self) -> int:
        """The receptive field in pixels: of an endless image unless ``everywhere``."""
        if self.everywhere:
            return max(int(self.last.max() - self.first.min()) + 1, 0)
        return self.high - self.low + 1


def pixels(size: int) -> Extent:
    """Return the extent of the image itself: each of its ``size`` pixels sees itself."""
    return Extent(1, 0, 0, np.arange(size), np.arange(size))


def slide(
    extent: Extent, start: int, step: int, count: int, taps: int = 1, dilation: int = 1
) -> Extent:
    """Return the extent of a window that slides over the units.

    Also a slice (one tap) and padding (one tap, a negative start).

    Args:
        extent: of the units below.
        start: unit under the first tap of window 0; negative in padding.
        step: units between windows.
        count: number of windows.
        taps: of a window.
        dilation: units between taps.
    """
    first = np.full(count, _NOTHING)
    last = np.full(count, -1)
    for tap in range(taps):
        units = start + tap * dilation + step * np.arange(count)
        inside = (units >= 0) & (units < len(extent.first))
        first[inside] = np.minimum(first[inside], extent.first[units[inside]])
        last[inside] = np.maximum(last[inside], extent.last[units[inside]])
    return Extent(
        stride=extent.stride * step,
        low=extent.low + extent.stride * start,
        high=extent.high + extent.stride * (start + (taps - 1) * dilation),
        first=first,
        last=last,
        everywhere=extent.everywhere,
    )


def gather(extent: Extent) -> Extent:
    """Return the extent of one unit without place that sees all that the units see."""
    first, last = extent.first.min(keepdims=True), extent.last.max(keepdims=True)
    return Extent(0, 0, 0, first, last, everywhere=True)


def union(one: Extent, other: Extent) -> Extent:
    """Return the extent of units that combine those of two maps, place by place.

    Raises:
        ValueError: the maps have other numbers of units or other strides; a single unit
            without place goes with any map.
    """
    if one.stride != other.stride and one.stride and other.stride:
        raise ValueError(f"strides of {one.stride} and {other.stride} pixels are combined")
    first = np.minimum(one.first, other.first)
    last = np.maximum(one.last, other.last)
    everywhere = one.everywhere or other.everywhere
    if everywhere:
        first = np.full_like(first, first.min())
        last = np.full_like(last, last.max())
    return Extent(
        stride=one.stride or other.stride,
        low=min(one.low, other.low),
        high=max(one.high, other.high),
        first=first,
        last=last,
        everywhere=everywhere,
    )
