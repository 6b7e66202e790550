"""Attention to regions against loops over tokens and regions, in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mm.ops import attention_boundary_divergence, region_attention


def random_attention(seed, grid, batch=1):
    tokens = grid[0] * grid[1]
    generator = torch.Generator().manual_seed(seed)
    return torch.softmax(2 * torch.randn(batch, tokens, tokens, generator=generator), -1)


def oracle(attention, grid, cell, steps):
    """One walker at a time: from a token by its own attention, then by that of its region."""
    height, width = grid
    down, across = -(-height // cell), -(-width // cell)
    tokens = height * width
    region_of = [
        (token // width * down // height) * across + token % width * across // width
        for token in range(tokens)
    ]
    first = [[0.0] * (down * across) for _ in range(tokens)]
    for here in range(tokens):
        for there in range(tokens):
            first[here][region_of[there]] += float(attention[here, there])
    chain = []
    for region in range(down * across):
        members = [first[token] for token in range(tokens) if region_of[token] == region]
        chain.append([sum(column) / len(members) for column in zip(*members, strict=True)])
    for _ in range(steps - 1):
        first = [
            [sum(row[a] * chain[a][b] for a in range(len(row))) for b in range(len(row))]
            for row in first
        ]
    return torch.tensor(first, dtype=torch.float64)


@pytest.mark.parametrize("grid", [(4, 4), (5, 3), (1, 7)])
@pytest.mark.parametrize("cell", [1, 2, 3, 9])
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_matches_the_oracle(grid, cell, steps):
    attention = random_attention(steps, grid, batch=2)
    found = region_attention(attention, grid, cell, steps)
    expected = torch.stack([oracle(one.double(), grid, cell, steps) for one in attention])
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=1e-5)


def test_one_token_and_one_step_is_the_attention():
    attention = random_attention(0, (3, 4))
    assert torch.equal(region_attention(attention, (3, 4)), attention)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 1000),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.integers(1, 8),
    st.integers(1, 12),
)
def test_rows_keep_their_sum(seed, grid, cell, steps):
    found = region_attention(random_attention(seed, grid), grid, cell, steps)
    assert found.min() >= 0
    torch.testing.assert_close(found.sum(-1), torch.ones(1, grid[0] * grid[1]))


def test_stripes_fade_and_the_border_stays():
    """Columns 0 to 3 are an object with stripes, columns 4 to 7 another without."""
    colors = torch.tensor([0, 1, 0, 1, 2, 2, 2, 2]).repeat(8)  # 8x8 tokens
    same = (colors[:, None] == colors[None, :]).float()
    attention = (same / same.sum(-1, keepdim=True))[None]
    plain = attention_boundary_divergence(attention + 1e-6, (8, 8))[0, 0, 4]
    coarse = region_attention(attention + 1e-6, (8, 8), cell=4)
    faded = attention_boundary_divergence(coarse, (8, 8))[0, 0, 4]
    assert (plain[1:3] < 1e-3).all() and plain[3] > 1  # opposite neighbours of a stripe are alike
    assert plain[0] > 1  # the stripe at the image's border has only one neighbour
    assert faded[3] > 1 and faded[4] > 1
    assert (faded[:3] < 1e-3).all() and (faded[5:] < 1e-3).all()


def test_gradients_flow():
    attention = random_attention(0, (2, 3)).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: region_attention(x, (2, 3), 2, 3), attention)


def test_half_precision_is_computed_in_single():
    assert region_attention(random_attention(0, (2, 2)).half(), (2, 2), 2).dtype == torch.float32


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((4, 4), {}, "attention must be"),
        ((1, 4, 3), {}, "attention must be"),
        ((1, 4, 4), {"cell": 0}, "at least 1"),
        ((1, 4, 4), {"steps": 0}, "at least 1"),
    ],
)
def test_bad_arguments_are_named(shape, options, message):
    with pytest.raises(ValueError, match=message):
        region_attention(torch.ones(shape), (2, 2), **options)
