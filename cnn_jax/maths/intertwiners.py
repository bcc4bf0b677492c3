"""Representations of the square's symmetries, and the filters that respect them.

Source:
    Cohen and Welling. Steerable CNNs. ICLR 2017 (arXiv 1612.08498). Sections 2.3 and 2.4
    (steerable filter banks, Hom_H(pi, rho)), 2.6 and 2.7 (the types of the fibres of D4).
    Serre. Linear Representations of Finite Groups. 1977, Chapter 2 (characters).

A representation is an array [order, d, d] of matrices, one for each element of a point
group, numbered as in ``plane_groups``; p4's elements are the first four of p4m's, so each
array serves both. All here are signed permutations. Kinds:

- ``a1 a2 b1 b2 e``: the irreducible ones of D4. a1 is trivial; a2 changes its sign with a
  mirror, b1 with a quarter turn, b2 with both; e turns as a vector (row, column).
- ``regular``: one coordinate an element of D4. ``quotient_mirror``, ``quotient_half_turn``,
  ``quotient_turns``: one a coset of {1, mirror}, of {1, half turn}, of the turns.
- ``rectified_`` and one of these: what a vector x becomes as (max(0, x), max(0, -x)).
"""

from functools import lru_cache

import numpy as np

from cnn_jax.maths.plane_groups import P4M, PlaneGroup, moved_pixels

# Signs of the quarter turn and of the mirror.
SIGNS = {"a1": (1, 1), "a2": (1, -1), "b1": (-1, 1), "b2": (-1, -1)}
# Subgroups of D4, by element.
SUBGROUPS = {
    "regular": (0,),
    "quotient_mirror": (0, 4),
    "quotient_half_turn": (0, 2),
    "quotient_turns": (0, 1, 2, 3),
}
KINDS = (*SIGNS, "e", *SUBGROUPS)
RECTIFIED = "rectified_"


@lru_cache(maxsize=64)
def representation(kind: str) -> np.ndarray:
    """Return the matrices of D4 of a kind, float64 [8, d, d], read-only.

    Raises:
        ValueError: no such kind.
    """
    if kind.startswith(RECTIFIED):
        signed = representation(kind.removeprefix(RECTIFIED))
        up, down = np.maximum(signed, 0), np.maximum(-signed, 0)
        matrices = np.block([[up, down], [down, up]])
    elif kind in SIGNS:
        turn, mirror = SIGNS[kind]
        signs = [mirror**m * turn**k for m in range(2) for k in range(4)]
        matrices = np.array(signs, float).reshape(8, 1, 1)
    elif kind == "e":
        matrices = P4M.matrices.astype(float)
    elif kind in SUBGROUPS:
        matrices = _on_cosets(SUBGROUPS[kind])
    else:
        raise ValueError(f"kind {kind!r} is not one of {', '.join(KINDS)}")
    matrices.flags.writeable = False
    return matrices


def _on_cosets(subgroup: tuple[int, ...]) -> np.ndarray:
    """Return how the group permutes the cosets g K of a subgroup K."""
    cosets = P4M.products[:, list(subgroup)].min(1)  # each named by its first element
    names = np.unique(cosets)
    moved = cosets[P4M.products[:, names]]  # [g, coset]: the coset g (h K)
    return (moved[:, None, :] == names[:, None]).astype(float)


def dimension(kind: str) -> int:
    """Return the dimension of a kind."""
    return representation(kind).shape[-1]


def is_permutation(kind: str) -> bool:
    """Return whether the group only exchanges coordinates, without changes of sign."""
    return bool((representation(kind) >= 0).all())


@lru_cache(maxsize=512)
def intertwiners(group: PlaneGroup, inputs: str, outputs: str, size: int) -> np.ndarray:
    """Return a basis of the filters that map one kind to another and respect the group.

    A filter is a linear map psi(y) from the input's fibre at pixel y to the output's fibre
    at the centre. It is steerable if turning the patch turns the answer, rho(g) Psi =
    Psi pi(g), that is psi(g y) = rho_out(g) psi(y) rho_in(g)^-1 for all g. These are the
    vectors that the mean over the group leaves alone. Since all matrices are signed
    permutations, the mean of one entry is its orbit, with signs, or 0; orbits do not
    overlap, so they are an orthogonal basis, and the same one on every machine.

    Args:
        group: p4 or p4m (z2 gives every filter).
        inputs: kind of the input.
        outputs: kind of the output.
        size: edge of the filter in pixels.

    Returns:
        float64 [dim, size, size, d_in, d_out], orthonormal, read-only; dim may be 0.
    """
    before, after = representation(inputs), representation(outputs)
    pixels = moved_pixels(group, size)
    mean = np.zeros((size**2 * before.shape[-1] * after.shape[-1],) * 2)
    for g in range(group.order):
        moves = np.eye(size**2)[pixels[g]]
        mean += np.kron(moves, np.kron(before[g], after[g])) / group.order
    # An orbit is found once: by the column of its first entry.
    nonzero = np.abs(mean) > 1e-9  # orbits have values of at least 1 / 8
    first = nonzero.any(0) & (nonzero.argmax(0) == np.arange(len(mean)))
    orbits = mean[:, first] / np.linalg.norm(mean[:, first], axis=0)
    basis = orbits.T.reshape(-1, size, size, before.shape[-1], after.shape[-1])
    basis.flags.writeable = False
    return basis


def intertwiner_dimension(group: PlaneGroup, inputs: str, outputs: str, size: int) -> int:
    """Return dim Hom_H(pi, rho) from characters: the mean of chi_pi(g) chi_rho(g).

    pi is the induced action on a patch: its character is that of the fibre times the
    number of pixels that g leaves in place.

    Args:
        group: the point group H.
        inputs: kind of the input.
        outputs: kind of the output.
        size: edge of the patch in pixels.
    """
    fixed = (moved_pixels(group, size) == np.arange(size**2)).sum(1)
    before, after = (
        np.trace(representation(kind)[: group.order], axis1=1, axis2=2)
        for kind in (inputs, outputs)
    )
    return round(float((fixed * before * after).mean()))
