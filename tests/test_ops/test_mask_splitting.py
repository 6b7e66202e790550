import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mm.ops import edge_fragments, split_by_edges


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
