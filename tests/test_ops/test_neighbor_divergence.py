"""Divergences of neighbours against a loop over tokens, in float64, and their own gradient."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mm.ops import neighbor_divergence, symmetric_kl_divergence
from trace_mm.ops.neighbor_divergence import CHUNK_ELEMENTS, CHUNK_KEYS

OFFSETS = [(0, 1), (1, 0), (1, -1), (0, -2), (-2, 1), (3, 0), (0, 0)]
grids = st.tuples(st.integers(1, 6), st.integers(1, 6))
offset_lists = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=4)


def random_attention(seed, grid, keys=None, batch=1):
    tokens = grid[0] * grid[1]
    generator = torch.Generator().manual_seed(seed)
    return torch.softmax(2 * torch.randn(batch, tokens, keys or tokens, generator=generator), -1)


def oracle(attention, grid, offset):
    """Token by token: nested list (h, w)."""
    height, width = grid

    def at(i, j):
        y, x = i + offset[0], j + offset[1]
        if not (0 <= y < height and 0 <= x < width):
            return 0.0
        rows = attention[i * width + j].tolist(), attention[y * width + x].tolist()
        return sum((a - b) * (math.log(a) - math.log(b)) / 2 for a, b in zip(*rows, strict=True))

    return [[at(i, j) for j in range(width)] for i in range(height)]


@pytest.mark.parametrize("keys", [None, 5])
@pytest.mark.parametrize("grid", [(4, 4), (3, 5), (1, 1), (1, 6), (6, 1), (2, 7)])
def test_matches_the_oracle(grid, keys):
    attention = random_attention(1, grid, keys, batch=2)
    result = neighbor_divergence(attention, grid, OFFSETS)
    assert result.shape == (2, len(OFFSETS), *grid)
    assert result.dtype == torch.float32
    for sample, channels in zip(attention, result, strict=True):
        for offset, channel in zip(OFFSETS, channels, strict=True):
            expected = oracle(sample, grid, offset)
            np.testing.assert_allclose(channel.numpy(), expected, rtol=1e-4, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), grids, offset_lists, st.integers(1, 7))
def test_chunks_change_neither_result_nor_gradient(seed, grid, offsets, chunk_rows):
    results, gradients = [], []
    for rows in (chunk_rows, 1000):
        attention = random_attention(seed, grid).requires_grad_()
        results.append(neighbor_divergence(attention, grid, offsets, rows))
        results[-1].square().sum().backward()
        gradients.append(attention.grad)
    torch.testing.assert_close(results[0], results[1])
    torch.testing.assert_close(gradients[0], gradients[1])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), grids, st.integers(-3, 3), st.integers(-3, 3))
def test_is_mutual(seed, grid, rows, columns):
    """What a token says of its neighbour, the neighbour says of it."""
    attention = random_attention(seed, grid)
    there, back = neighbor_divergence(attention, grid, [(rows, columns), (-rows, -columns)])[0]
    for i in range(grid[0]):
        for j in range(grid[1]):
            y, x = i + rows, j + columns
            if 0 <= y < grid[0] and 0 <= x < grid[1]:
                assert there[i, j].item() == pytest.approx(back[y, x].item(), abs=1e-6)
    assert there.min() >= -1e-6


@pytest.mark.parametrize("chunk_rows", [1, 2, None])
@pytest.mark.parametrize("keys", [None, 4])
def test_gradient_is_that_of_the_formula(chunk_rows, keys):
    attention = random_attention(2, (3, 2), keys).double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda values: neighbor_divergence(values, (3, 2), OFFSETS[:5], chunk_rows), attention
    )


def test_more_keys_than_a_chunk_has():
    """A token's divergence and its gradient are sums over all chunks of keys."""
    keys = 2 * CHUNK_KEYS + 7
    ours = random_attention(5, (3, 4), keys).requires_grad_()
    result = neighbor_divergence(ours, (3, 4), OFFSETS)
    for offset, channel in zip(OFFSETS, result[0].detach(), strict=True):
        expected = oracle(ours[0].detach(), (3, 4), offset)
        np.testing.assert_allclose(channel.numpy(), expected, rtol=1e-4, atol=1e-6)
    neighbor_divergence(ours, (3, 4), [(0, 1)]).sum().backward()
    plain = ours.detach().unflatten(1, (3, 4)).requires_grad_()
    symmetric_kl_divergence(plain[:, :, :-1], plain[:, :, 1:]).sum().backward()
    torch.testing.assert_close(ours.grad, plain.grad.flatten(1, 2))


def test_gradient_equals_autograd_where_probabilities_are_zero():
    zeros = torch.tensor([[0.0, 0.3, 0.7], [0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])
    ours = zeros.clone()[None].requires_grad_()
    neighbor_divergence(ours, (3, 1), [(1, 0)]).sum().backward()
    plain = zeros.clone().requires_grad_()
    symmetric_kl_divergence(plain[:-1], plain[1:]).sum().backward()
    torch.testing.assert_close(ours.grad[0], plain.grad)


def test_workspace_of_training_is_small():
    """Nothing but the attention itself is kept for the gradient."""
    attention = torch.full((1, 1600, 1600), 1 / 1600).requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        neighbor_divergence(attention, (40, 40), OFFSETS)
    assert [tensor.untyped_storage().data_ptr() for tensor in kept] == [attention.data_ptr()]
    assert attention.numel() > CHUNK_ELEMENTS


def test_half_precision_is_computed_in_single():
    attention = random_attention(3, (3, 4)).half()
    result = neighbor_divergence(attention, (3, 4), [(0, 1)])
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, neighbor_divergence(attention.float(), (3, 4), [(0, 1)]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"grid": (3, 5)}, r"grid \(3, 5\), got \(1, 12, 12\)"),
        ({"grid": (-3, -4)}, "for grid"),
        ({"attention": torch.rand(12, 12)}, "for grid"),
        ({"attention": torch.ones(1, 12, 12, dtype=torch.long)}, "floating point"),
        ({"offsets": []}, "at least one offset"),
        ({"chunk_rows": 0}, "chunk_rows must be positive"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    good = {"attention": random_attention(4, (3, 4)), "grid": (3, 4), "offsets": [(0, 1)]}
    with pytest.raises(ValueError, match=message):
        neighbor_divergence(**{**good, **arguments})
