"""Fusion of attention maps against loops over Eq. 8 and 9 in float64."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mm.ops import AttentionFusion, finest_grid, fuse_attention


def _attention(seed, grid, batch=1):
    tokens = grid[0] * grid[1]
    generator = torch.Generator().manual_seed(seed)
    return torch.softmax(2 * torch.randn(batch, tokens, tokens, generator=generator), -1)


def _overlap(index, fine, cell, coarse):
    """Share of the coarse cell's length that the fine cell covers, exactly."""
    start = max(Fraction(index, fine), Fraction(cell, coarse))
    stop = min(Fraction(index + 1, fine), Fraction(cell + 1, coarse))
    return float(max(stop - start, Fraction(0)) * coarse)


def _oracle(maps, grids, weights):
    """Eq. 8, entry by entry, with each key's share spread over the area that it covers."""
    height, width = max(h for h, _ in grids), max(w for _, w in grids)
    total = np.zeros((height * width, height * width))
    for attention, (h, w), weight in zip(maps, grids, weights, strict=True):
        source = attention[0].double().numpy()
        for query in range(height * width):
            y, x = divmod(query, width)
            row = source[(y * h // height) * w + x * w // width]
            for key in range(height * width):
                i, j = divmod(key, width)
                share = sum(
                    _overlap(i, height, a, h) * _overlap(j, width, b, w) * row[a * w + b]
                    for a in range(h)
                    for b in range(w)
                )
                total[query, key] += weight * share
    return total / sum(weights)


@pytest.mark.parametrize(
    "grids",
    [
        [(4, 4), (2, 2)],  # whole ratios
        [(4, 6), (2, 3), (1, 1)],
        [(3, 5), (2, 3)],  # sizes that a U-Net halves with rounding up
        [(5, 4), (3, 2), (5, 4)],
        [(1, 7), (1, 4)],
        [(4, 2), (2, 4)],  # finest height and finest width from different maps
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_matches_the_oracle(grids, weighted):
    maps = [_attention(k, grid) for k, grid in enumerate(grids)]
    weights = [0.5 + k for k in range(len(grids))] if weighted else None
    result = fuse_attention(maps, grids, weights)
    expected = _oracle(maps, grids, weights or [1.0] * len(grids))
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result[0].numpy(), expected, rtol=1e-5, atol=1e-7)


def test_whole_ratios_repeat_and_divide():
    """Beside the loops, one case by hand: 1 x 2 keys on a 2 x 4 grid."""
    coarse = torch.tensor([[[0.8, 0.2], [0.4, 0.6]]])
    fusion = AttentionFusion((2, 4))
    fusion.add(coarse, (1, 2))
    left = torch.tensor([0.2, 0.2, 0.05, 0.05]).repeat(2)
    right = torch.tensor([0.1, 0.1, 0.15, 0.15]).repeat(2)
    torch.testing.assert_close(
        fusion.result()[0], torch.stack([left, left, right, right, left, left, right, right])
    )


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    sizes=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=4),
    batch=st.integers(1, 2),
)
def test_rows_sum_to_one_and_nothing_is_negative(seed, sizes, batch):
    maps = [_attention(seed + k, grid, batch) for k, grid in enumerate(sizes)]
    result = fuse_attention(maps, sizes)
    height, width = finest_grid(sizes)
    assert result.shape == (batch, height * width, height * width)
    assert (result >= 0).all()
    torch.testing.assert_close(result.sum(-1), torch.ones(batch, height * width))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), grid=st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_one_grid_is_a_plain_mean(seed, grid):
    maps = [_attention(seed + k, grid, 2) for k in range(3)]
    assert torch.equal(fuse_attention(maps[:1], [grid]), maps[0])
    torch.testing.assert_close(fuse_attention(maps, [grid] * 3), torch.stack(maps).mean(0))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), order=st.permutations(range(3)))
def test_order_of_the_maps_is_irrelevant(seed, order):
    sizes = [(4, 6), (2, 3), (3, 3)]
    maps = [_attention(seed + k, grid) for k, grid in enumerate(sizes)]
    torch.testing.assert_close(
        fuse_attention([maps[k] for k in order], [sizes[k] for k in order]),
        fuse_attention(maps, sizes),
    )


def test_follows_flips_where_ratios_are_whole():
    sizes = [(4, 6), (2, 3)]
    maps = [_attention(k, grid) for k, grid in enumerate(sizes)]

    def flip(attention, grid):
        order = torch.arange(grid[0] * grid[1]).view(grid).flip(1).flatten()
        return attention[:, order][:, :, order]

    flipped = [flip(attention, grid) for attention, grid in zip(maps, sizes, strict=True)]
    torch.testing.assert_close(
        fuse_attention(flipped, sizes), flip(fuse_attention(maps, sizes), (4, 6))
    )


def test_weights_count_relatively_and_zero_leaves_a_map_out():
    sizes = [(4, 4), (2, 2)]
    maps = [_attention(k, grid) for k, grid in enumerate(sizes)]
    torch.testing.assert_close(
        fuse_attention(maps, sizes, [2.0, 6.0]), fuse_attention(maps, sizes, [1.0, 3.0])
    )
    torch.testing.assert_close(fuse_attention(maps, sizes, [1.0, 0.0]), maps[0])


def test_streaming_gives_the_same_and_can_start_again():
    sizes = [(3, 4), (3, 4), (2, 2)]
    maps = [_attention(k, grid) for k, grid in enumerate(sizes)]
    fusion = AttentionFusion((3, 4))
    for _ in range(2):
        for attention, grid in zip(maps, sizes, strict=True):
            fusion.add(attention, grid)
        assert torch.equal(fusion.result(), fuse_attention(maps, sizes))


def test_the_maps_are_left_alone():
    attention = _attention(1, (3, 4))
    before = attention.clone()
    fuse_attention([attention, attention], [(3, 4), (3, 4)])
    assert torch.equal(attention, before)


def test_half_precision_is_summed_in_float32():
    sizes = [(4, 4), (2, 2)]
    maps = [_attention(k, grid).bfloat16() for k, grid in enumerate(sizes)]
    result = fuse_attention(maps, sizes)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, fuse_attention([m.float() for m in maps], sizes))


def test_is_differentiable():
    sizes = [(3, 2), (2, 1), (3, 2)]
    maps = [_attention(k, grid).double().requires_grad_() for k, grid in enumerate(sizes)]
    assert torch.autograd.gradcheck(lambda *values: fuse_attention(values, sizes), maps)


def test_works_in_inference_mode():
    with torch.inference_mode():
        maps = [_attention(0, (3, 4)), _attention(1, (2, 2))]
        result = fuse_attention(maps, [(3, 4), (2, 2)])
    torch.testing.assert_close(result.sum(-1), torch.ones(1, 12))


def test_add_errors():
    fusion = AttentionFusion((4, 4))
    good = _attention(0, (2, 2))
    with pytest.raises(ValueError, match=r"for grid \(2, 3\), got \(1, 4, 4\)"):
        fusion.add(good, (2, 3))
    with pytest.raises(ValueError, match="grid must be"):
        fusion.add(good, (0, 4))
    with pytest.raises(ValueError, match=r"grid \(1, 5\) is finer than .* \(4, 4\)"):
        fusion.add(_attention(0, (1, 5)), (1, 5))
    with pytest.raises(ValueError, match="floating point"):
        fusion.add(torch.ones(1, 4, 4, dtype=torch.long), (2, 2))
    for weight in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="weight must be"):
            fusion.add(good, (2, 2), weight)
    with pytest.raises(ValueError, match="no attention map"):
        fusion.result()
    fusion.add(good, (2, 2))
    with pytest.raises(ValueError, match="batch size changes from 1 to 2"):
        fusion.add(_attention(0, (2, 2), batch=2), (2, 2))


def test_fuse_errors():
    with pytest.raises(ValueError, match="at least one map"):
        fuse_attention([], [])
    with pytest.raises(ValueError, match="1 maps, 2 grids and 1 weights"):
        fuse_attention([_attention(0, (2, 2))], [(2, 2), (2, 2)])
    with pytest.raises(ValueError, match="no attention map of positive weight"):
        fuse_attention([_attention(0, (2, 2))], [(2, 2)], [0.0])
    with pytest.raises(ValueError, match="grid must be"):
        AttentionFusion((0, 3))


def test_gradients_do_not_change_the_value():
    sizes = [(2, 3), (4, 4), (3, 4)]
    maps = [_attention(k, grid) for k, grid in enumerate(sizes)]
    expected = fuse_attention(maps, sizes)
    found = fuse_attention([attention.requires_grad_() for attention in maps], sizes)
    torch.testing.assert_close(found.detach(), expected)


def test_a_map_may_be_reused():
    maps = [torch.softmax(torch.rand(2, 12, 12), -1) for _ in range(3)]
    fusion = AttentionFusion((3, 4))
    for attention in maps:
        fusion.add(attention.clone(), (3, 4), reuse=True)
    kept = [attention.clone() for attention in maps]
    torch.testing.assert_close(fusion.result(), fuse_attention(maps, [(3, 4)] * 3))
    for attention, copy in zip(maps, kept, strict=True):
        assert torch.equal(attention, copy)  # not without being asked
