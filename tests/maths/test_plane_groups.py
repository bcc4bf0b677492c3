import itertools

import numpy as np
import pytest

from cnn_jax.maths.plane_groups import (
    GROUPS,
    P4,
    P4M,
    Z2,
    filter_table,
    moved_orientations,
    moved_pixels,
    plane_group,
    transformed,
)

every_group = pytest.mark.parametrize("group", GROUPS.values(), ids=list(GROUPS))


@every_group
def test_the_axioms_of_a_group_hold(group):
    elements = range(group.order)
    product, inverse = group.products, group.inverses
    assert sorted(map(tuple, group.matrices.reshape(-1, 4))) == sorted(
        {tuple(m.ravel()) for m in group.matrices}  # no element twice
    )
    for g in elements:
        assert product[0, g] == product[g, 0] == g
        assert product[g, inverse[g]] == product[inverse[g], g] == 0
        # Each row and column holds every element once.
        assert sorted(product[g]) == sorted(product[:, g]) == list(elements)
    for a, b, c in itertools.product(elements, repeat=3):
        assert product[product[a, b], c] == product[a, product[b, c]]
    for a, b in itertools.product(elements, repeat=2):
        assert (
            group.matrices[a] @ group.matrices[b] == group.matrices[product[a, b]]
        ).all()


def test_the_orders_are_those_of_the_paper_and_reflections_do_not_commute():
    assert (Z2.order, P4.order, P4M.order) == (1, 4, 8)  # Sections 4.2 and 4.3
    assert (P4.products == P4.products.T).all()
    turn, mirror = 1, 4
    # Turning and then mirroring is mirroring and then turning back.
    assert P4M.products[mirror, turn] == P4M.products[P4M.inverses[turn], mirror]
    assert P4M.products[mirror, turn] != P4M.products[turn, mirror]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_an_element_turns_and_mirrors_as_numpy_does(size):
    picture = np.arange(2 * size * size * 1 * 3).reshape(2, size, size, 1, 3)
    for g in range(P4M.order):
        mirrored = picture[:, :, ::-1] if g >= 4 else picture
        expected = np.rot90(mirrored, g % 4, axes=(1, 2))
        assert (transformed(P4M, g, picture) == expected).all()


@every_group
@pytest.mark.parametrize("on_group", [False, True])
def test_transformations_are_an_action_of_the_group(group, on_group):
    orientations = group.order if on_group else 1
    maps = np.random.default_rng(0).normal(size=(1, 4, 4, orientations, 2))
    for g, h in itertools.product(range(group.order), repeat=2):
        twice = transformed(group, g, transformed(group, h, maps))
        assert (twice == transformed(group, group.products[g, h], maps)).all()
    assert (transformed(group, 0, maps) == maps).all()


def test_a_quarter_turn_of_a_map_on_p4_hands_each_orientation_to_the_next():
    maps = np.random.default_rng(0).normal(size=(1, 5, 5, 4, 2))
    turned = transformed(P4, 1, maps)  # Figure 1 of the paper
    for u in range(4):
        expected = np.rot90(maps[:, :, :, u - 1], axes=(1, 2))
        assert (turned[:, :, :, u] == expected).all()


def test_axes_may_stand_elsewhere():
    filters = np.random.default_rng(0).normal(size=(3, 3, 8, 2))
    moved = transformed(P4M, 5, filters, axes=(0, 1))
    assert (moved[None] == transformed(P4M, 5, filters[None])).all()


@every_group
def test_every_weight_of_a_filter_is_used_once_in_each_orientation(group):
    table = filter_table(group, 3, group.order)
    assert table.shape == (9, group.order, group.order)
    for s in range(group.order):
        assert sorted(table[:, :, s].ravel()) == list(range(9 * group.order))
    assert (table[:, :, 0].ravel() == np.arange(9 * group.order)).all()


def test_what_is_no_map_of_the_group_is_refused():
    with pytest.raises(ValueError, match="'p6' is not one of z2, p4, p4m"):
        plane_group("p6")
    with pytest.raises(ValueError, match="3 orientations: a map on p4 has 4"):
        moved_orientations(P4, 3)
    with pytest.raises(ValueError, match="8 orientations"):
        filter_table(P4, 3, 8)
    with pytest.raises(ValueError, match="4 x 5 pixels are not square"):
        transformed(P4, 1, np.zeros((1, 4, 5, 1, 1)))


def test_pixels_of_even_and_odd_grids_are_exchanged_among_themselves():
    for size in (1, 2, 5, 6):
        for sources in moved_pixels(P4M, size):
            assert sorted(sources) == list(range(size * size))
