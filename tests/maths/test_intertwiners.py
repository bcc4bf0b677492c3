import itertools

import numpy as np
import pytest

from cnn_jax.maths.intertwiners import (
    KINDS,
    RECTIFIED,
    dimension,
    intertwiner_dimension,
    intertwiners,
    is_permutation,
    representation,
)
from cnn_jax.maths.plane_groups import P4, P4M

ALL = (*KINDS, *(RECTIFIED + kind for kind in KINDS))
# A pair of each sort: signs, vectors, permutations, rectified, and one without any filter.
PAIRS = [
    ("a1", "a2"),
    ("a1", "e"),
    ("e", "e"),
    ("b1", "quotient_mirror"),
    ("quotient_turns", "b2"),
    ("rectified_e", "e"),
    ("rectified_a2", "quotient_half_turn"),
    ("regular", "a1"),
]


@pytest.mark.parametrize("kind", ALL)
def test_a_kind_is_a_representation_by_signed_permutations(kind):
    matrices = representation(kind)
    assert (matrices[0] == np.eye(dimension(kind))).all()
    for g, h in itertools.product(range(8), repeat=2):
        assert (matrices[g] @ matrices[h] == matrices[P4M.products[g, h]]).all()
    assert (np.abs(matrices).sum(-1) == 1).all()
    assert is_permutation(kind) == (kind in ("a1", *KINDS[5:]) or RECTIFIED in kind)


def test_the_irreducible_kinds_have_orthonormal_characters():
    characters = np.array(
        [
            np.trace(representation(k), axis1=1, axis2=2)
            for k in ("a1", "a2", "b1", "b2", "e")
        ]
    )
    assert (characters @ characters.T == 8 * np.eye(5)).all()
    # The regular one holds each as often as its dimension: 1 + 1 + 1 + 1 + 2 * 2 = 8.
    regular = np.trace(representation("regular"), axis1=1, axis2=2)
    assert (characters @ regular / 8 == [1, 1, 1, 1, 2]).all()


def test_rectified_coordinates_move_as_the_matrices_say(draw):
    x = draw.normal(size=2)
    for g in range(8):
        turned = representation("e")[g] @ x
        halves = np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)])
        expected = np.concatenate([np.maximum(turned, 0), np.maximum(-turned, 0)])
        np.testing.assert_array_equal(representation("rectified_e")[g] @ halves, expected)


def constraints(group, inputs, outputs, size):
    """rho(g) Psi - Psi pi(g) for the generators, as a matrix on the entries of Psi.

    Built by turning unit filters with numpy, not from the tables.
    """
    before, after = representation(inputs), representation(outputs)
    shape = (size, size, before.shape[-1], after.shape[-1])
    columns = []
    for place in np.ndindex(*shape):
        unit = np.zeros(shape)
        unit[place] = 1
        rows = []
        for g, move in ((1, np.rot90), (4, lambda f: f[:, ::-1])):
            if g < group.order:
                turned = np.einsum("pi,yxio,qo->yxpq", before[g], move(unit), after[g])
                rows.append((turned - unit).ravel())
        columns.append(np.concatenate(rows))
    return np.array(columns).T


@pytest.mark.parametrize(("inputs", "outputs"), PAIRS)
@pytest.mark.parametrize(("group", "size"), [(P4M, 3), (P4, 2)], ids=["p4m", "p4"])
def test_the_basis_spans_the_null_space_of_the_constraints(inputs, outputs, group, size):
    basis = intertwiners(group, inputs, outputs, size).reshape(
        -1, size**2 * dimension(inputs) * dimension(outputs)
    )
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-12)
    matrix = constraints(group, inputs, outputs, size)
    np.testing.assert_allclose(matrix @ basis.T, 0, atol=1e-12)
    rank = np.linalg.matrix_rank(matrix)
    assert len(basis) == matrix.shape[1] - rank
    assert len(basis) == intertwiner_dimension(group, inputs, outputs, size)


def test_regular_to_regular_is_a_group_convolution():
    # As many coefficients as a filter on the group has entries.
    assert intertwiner_dimension(P4M, "regular", "regular", 3) == 9 * 8
    assert len(intertwiners(P4M, "a1", "regular", 3)) == 9
    # By hand, 3 x 3 pixels: centre, edges, corners; a vector field pointing outwards.
    assert len(intertwiners(P4M, "a1", "a1", 3)) == 3
    assert len(intertwiners(P4M, "a1", "e", 3)) == 2
    assert len(intertwiners(P4M, "a1", "a2", 3)) == 0


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="'a3' is not one of a1, a2"):
        representation("a3")
    with pytest.raises(ValueError, match="'c' is not one of"):
        dimension("rectified_c")
