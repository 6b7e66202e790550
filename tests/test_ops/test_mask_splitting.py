import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trace_mm.ops import edge_cores, edge_fragments, enclosed_components, split_by_edges


def picture(*rows):
    """A mask or edge map out of text, # is set."""
    return torch.tensor([[letter == "#" for letter in row] for row in rows])


def test_a_line_of_edges_splits_a_mask():
    mask = picture("####", "####", "####")
    edges = picture("..#.", "..#.", "..#.").float()

    parts, sources = edge_fragments(mask[None], edges)

    assert torch.equal(
        parts, torch.stack([picture("##..", "##..", "##.."), picture("...#", "...#", "...#")])
    )
    assert sources.tolist() == [0, 0]
    assert torch.equal(split_by_edges(mask[None], edges, 0.5), parts)


def test_a_diagonal_line_splits_too():
    mask = picture("###", "###", "###")
    edges = picture("#..", ".#.", "..#").float()

    assert len(split_by_edges(mask[None], edges, 0.5)) == 2


def test_edges_separate_above_the_threshold_only():
    mask = torch.ones(1, 1, 3, dtype=torch.bool)
    edges = torch.tensor([[0.0, 0.5, 0.0]])

    assert len(split_by_edges(mask, edges, 0.5)) == 1
    assert len(split_by_edges(mask, edges, 0.4)) == 2


def test_parts_that_were_apart_already_stay_together():
    mask = picture("##.##", "##.##")
    edges = torch.zeros(2, 5)

    assert torch.equal(split_by_edges(mask[None], edges, 0.5), mask[None])
    assert len(edge_fragments(mask[None], edges, split_parts=True)[0]) == 2


def test_of_several_parts_only_the_one_that_an_edge_cuts_is_split():
    mask = picture("###.#.#")
    edges = picture(".#.....").float()

    parts = split_by_edges(mask[None], edges, 0.5)

    expected = [picture("#......"), picture("..#...."), picture("....#.#")]
    assert torch.equal(parts, torch.stack(expected))


def test_a_mask_on_edges_altogether_has_no_part():
    masks = torch.stack([picture("#.", ".."), picture("..", "##")])
    edges = picture("#.", "..").float()

    parts, sources = edge_fragments(masks, edges)

    assert torch.equal(parts, masks[1:])
    assert sources.tolist() == [1]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_parts_are_disjoint_and_cover_the_mask_but_for_its_edges(seed, split_parts):
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand(3, 7, 9, generator=generator) > 0.4
    edges = torch.rand(7, 9, generator=generator)

    parts, sources = edge_fragments(masks, edges, 0.7, split_parts)

    for index, mask in enumerate(masks):
        assert torch.equal(parts[sources == index].sum(0) == 1, mask & (edges <= 0.7))
        assert parts[sources == index].sum(0).max() <= 1


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_without_edges_each_mask_is_one_component(seed):
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand(4, 6, 8, generator=generator) > 0.5
    masks[:, 0, 0] = True

    assert torch.equal(split_by_edges(masks, torch.zeros(6, 8), 0.5), masks)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="must be bool"):
        split_by_edges(torch.zeros(1, 2, 2), torch.zeros(2, 2), 0.5)
    with pytest.raises(ValueError, match="differ"):
        split_by_edges(torch.zeros(1, 2, 2, dtype=torch.bool), torch.zeros(2, 3), 0.5)


def line_with_gap(width):
    """A mask of 11 x 21 pixels, and a line down its middle that is open over some pixels."""
    edges = np.zeros((11, 21), dtype=np.float32)
    edges[:, 10] = 1
    edges[5 - width // 2 : 5 - width // 2 + width, 10] = 0
    return np.ones((11, 21), dtype=bool), edges


@pytest.mark.parametrize(
    "width, gap, cores", [(0, 0, 2), (3, 0, 1), (3, 1, 1), (3, 2, 2), (7, 2, 1), (7, 4, 2)]
)
def test_cores_lie_on_both_sides_of_a_gap(width, gap, cores):
    found = edge_cores(*line_with_gap(width), 0.5, gap)
    assert found.max() == cores
    if cores == 2:
        assert (found[:, :6] == 1).all() and (found[:, 15:] == 2).all()


def test_a_component_that_is_too_thin_for_a_core_is_one_itself():
    edges = np.zeros((5, 30), dtype=np.float32)
    edges[:, [10, 13]] = 1
    cores = edge_cores(np.ones((5, 30), dtype=bool), edges, 0.5, 3)
    assert cores.max() == 3
    assert (cores[:, 11:13] == 3).all() and (cores[:, :7] > 0).all() and not cores[:, 7:10].any()


@given(arrays(bool, (7, 8)), arrays(np.float32, (7, 8), elements=st.sampled_from([0, 0.3, 1])))
def test_cores_without_gaps_are_the_components_off_the_edges(mask, edges):
    pieces, _ = edge_fragments(
        torch.from_numpy(mask[None]), torch.from_numpy(edges), 0.5, split_parts=True
    )
    cores = edge_cores(mask, edges, 0.5, 0)
    assert cores.max() == len(pieces)
    assert all((cores[piece.numpy()] == cores[piece.numpy()].max()).all() for piece in pieces)
    assert ((cores > 0) == (mask & (edges <= 0.5))).all()


@given(arrays(bool, (9, 9)), arrays(bool, (9, 9)), st.integers(1, 3))
def test_each_component_has_a_core(mask, on_edge, gap):
    cores = edge_cores(mask, on_edge.astype(np.float32), 0.5, gap)
    components = edge_cores(mask, on_edge.astype(np.float32), 0.5, 0)
    assert (components[cores > 0] > 0).all()
    for component in range(1, components.max() + 1):
        assert cores[components == component].any()


def naive_enclosed(components, mask, edges, strength, side):
    height, width = mask.shape
    enclosed = [False] * (components.max() + 1)
    for number in range(1, components.max() + 1):
        own = components == number
        thick = any(
            own[row : row + side, column : column + side].all()
            for row in range(height - side + 1)
            for column in range(width - side + 1)
        )
        around = [
            (row, column)
            for row in range(height)
            for column in range(width)
            if mask[row, column] and not own[row, column]
            and any(
                0 <= row + y < height and 0 <= column + x < width and own[row + y, column + x]
                for y, x in ((1, 0), (-1, 0), (0, 1), (0, -1))
            )
        ]  # fmt: skip
        weak = sum(edges[pixel] <= strength for pixel in around)
        enclosed[number] = thick and 10 * weak <= len(around)
    return enclosed


@settings(max_examples=80, deadline=None)
@given(
    arrays(np.int32, (9, 10), elements=st.sampled_from([0, 1, 1, 1, 3])),
    arrays(bool, (9, 10), elements=st.sampled_from([True, True, False])),
    arrays(np.float32, (9, 10), elements=st.sampled_from([0.5, 1, 1, 1, 1, 1])),
    st.sampled_from([1, 3]),
)
def test_enclosed_components(components, mask, edges, side):
    components = np.where(mask, components, 0).astype(np.int32)
    found = enclosed_components(components, mask, edges, 0.8, side)
    assert found.tolist() == naive_enclosed(components, mask, edges, 0.8, side)
