"""Groups of rotations and reflections of the square grid, as tables.

Source:
    Cohen and Welling. Group Equivariant Convolutional Networks. ICML 2016. Section 4.2
    (the group p4), 4.3 (p4m), 4.4 (functions on groups), 6 and 7 (filter transformation).

A wallpaper group (p4, p4m) is the product of the translations of the plane and of a point
group that keeps the origin: here, of the latter. Conventions:

- A point is (row, column) relative to the centre of the grid, rows counted downwards.
- Element 4 m + k first swaps left and right m times (m is 0 or 1), then turns k quarters
  counter-clockwise, as ``numpy.rot90`` does. Element 0 is the identity.
- g acts on a function by [L_g f](x) = f(g^-1 x): a picture is turned by g.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

TURN = np.array([[0, -1], [1, 0]])  # a quarter, counter-clockwise; rows count downwards
MIRROR = np.array([[1, 0], [0, -1]])  # left and right swapped


@dataclass(frozen=True)
class PlaneGroup:
    """A point group of the square grid.

    Attributes:
        name: that of the wallpaper group it makes with the translations.
        turns: how many quarter turns it has, 1 or 4.
        mirrors: 2 with reflections, else 1.
    """

    name: str
    turns: int
    mirrors: int

    @property
    def order(self) -> int:
        """The number of elements."""
        return self.turns * self.mirrors

    @cached_property
    def matrices(self) -> np.ndarray:
        """What each element does to a point, int [order, 2, 2]."""
        power = np.linalg.matrix_power
        return np.stack(
            [
                power(TURN, k) @ power(MIRROR, m)
                for m in range(self.mirrors)
                for k in range(self.turns)
            ]
        )

    @cached_property
    def products(self) -> np.ndarray:
        """The table of the group, int [order, order]: row g, column h holds g h."""
        both = np.einsum("gij,hjk->ghik", self.matrices, self.matrices)
        equal = (both[:, :, None] == self.matrices).all((-2, -1))
        return equal.argmax(-1)

    @cached_property
    def inverses(self) -> np.ndarray:
        """The inverse of each element, int [order]."""
        return (self.products == 0).argmax(1)


Z2 = PlaneGroup("z2", 1, 1)
P4 = PlaneGroup("p4", 4, 1)
P4M = PlaneGroup("p4m", 4, 2)
GROUPS = {group.name: group for group in (Z2, P4, P4M)}


def plane_group(name: str) -> PlaneGroup:
    """Return the group of that name: ``z2`` (translations alone), ``p4`` or ``p4m``.

    Raises:
        ValueError: no such group.
    """
    if name not in GROUPS:
        raise ValueError(f"group {name!r} is not one of {', '.join(GROUPS)}")
    return GROUPS[name]


def moved_pixels(group: PlaneGroup, size: int) -> np.ndarray:
    """Return where each pixel of a turned picture comes from.

    Args:
        group: whose elements turn it.
        size: edge of the square grid in pixels, even or odd.

    Returns:
        int [order, size * size]: entry (g, x) is the pixel g^-1 x; pixels are numbered
        row by row.
    """
    # Twice the distance from the centre: whole numbers for an even size too.
    line = 2 * np.arange(size) - (size - 1)
    points = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    sources = np.einsum("gij,xj->gxi", group.matrices[group.inverses], points)
    rows, columns = np.moveaxis((sources + size - 1) // 2, -1, 0)
    return rows * size + columns


def moved_orientations(group: PlaneGroup, orientations: int) -> np.ndarray:
    """Return where each orientation of a turned feature map comes from.

    Args:
        group: whose elements turn it.
        orientations: 1 for maps on the plane, which have none; the group's order for maps
            on the group.

    Returns:
        int [order, orientations]: entry (g, u) is g^-1 u.

    Raises:
        ValueError: another number of orientations.
    """
    if orientations == 1:
        return np.zeros((group.order, 1), int)
    if orientations != group.order:
        raise ValueError(
            f"{orientations} orientations: a map on {group.name} has {group.order}, "
            "one on the plane 1"
        )
    return group.products[group.inverses]


def filter_table(group: PlaneGroup, size: int, orientations: int) -> np.ndarray:
    """Return the index table that turns one filter into the filters of all orientations.

    The G-correlation [f * psi](g) = sum over h of f(h) psi(g^-1 h) (Equations 10 and 11)
    at g = (t, s) is the planar correlation with L_s psi at t: psi turned by s, and, on the
    group, its orientations exchanged as well.

    Args:
        group: of the output.
        size: edge of the filter in pixels.
        orientations: of the input: 1 (a map on the plane) or the group's order.

    Returns:
        int [size * size, orientations, order]: entry (y, u, s) is the place of
        (s^-1 y, s^-1 u) in a filter [size * size * orientations], orientations last.

    Raises:
        ValueError: another number of orientations.
    """
    pixels = moved_pixels(group, size)  # [s, y]
    turned = moved_orientations(group, orientations)  # [s, u]
    table = pixels[:, :, None] * orientations + turned[:, None, :]
    return np.moveaxis(table, 0, -1)


def transformed(
    group: PlaneGroup, element: int, maps: np.ndarray, axes: Sequence[int] = (1, 2)
) -> np.ndarray:
    """Return L_g f for maps on the plane or on the group.

    Args:
        group: its elements are numbered as at the head of this module.
        element: g.
        maps: f, square in its two ``axes``; the axis after them counts orientations, 1 or
            the group's order.
        axes: rows and columns, neighbours.

    Raises:
        ValueError: the maps are not square, or have another number of orientations.
    """
    rows, columns = axes
    size = maps.shape[rows]
    if maps.shape[columns] != size:
        raise ValueError(f"maps of {size} x {maps.shape[columns]} pixels are not square")
    flat = maps.reshape(*maps.shape[:rows], size * size, *maps.shape[columns + 1 :])
    turned = np.take(flat, moved_pixels(group, size)[element], axis=rows)
    sources = moved_orientations(group, turned.shape[rows + 1])[element]
    return np.take(turned, sources, axis=rows + 1).reshape(maps.shape)
