"""Causal maps against loops, and what becomes of them."""

import pytest
import torch

from trace_mm.attention.causal import causal_attention_map
from trace_mm.ops import attention_boundary_divergence
from trace_mm.ops.mutual_attention import mutual_attention


def naive_map(query, key, scale):
    batch, heads, count, _ = query.shape
    result = torch.zeros(batch, count, count, dtype=torch.float64)
    for b in range(batch):
        for head in range(heads):
            k = key[b, head * key.shape[1] // heads].double()
            for i in range(count):
                weights = (query[b, head, i].double() @ k[: i + 1].T * scale).exp()
                result[b, i, : i + 1] += weights / weights.sum() / heads
    return result


@pytest.mark.parametrize("key_heads", [4, 2, 1])
@pytest.mark.parametrize("workspace", [None, 1, 40])
def test_it_is_the_softmax_over_earlier_keys(key_heads, workspace):
    torch.manual_seed(0)
    query, key = torch.randn(2, 4, 7, 5), torch.randn(2, key_heads, 7, 5)
    found = causal_attention_map(query, key, 0.7, workspace)
    torch.testing.assert_close(found.double(), naive_map(query, key, 0.7), atol=1e-6, rtol=1e-5)
    total = torch.ones(2, 7, 7)
    assert causal_attention_map(query, key, 0.7, workspace, total) is total
    torch.testing.assert_close(total, found + 1)
    with pytest.raises(ValueError, match="must be"):
        causal_attention_map(query, key[:, :, :6])


def test_a_pair_has_one_number_in_both_rows():
    torch.manual_seed(0)
    causal = (torch.rand(1, 5, 5) + 0.1).tril()
    causal /= causal.sum(-1, keepdim=True)
    wanted = torch.zeros(5, 5)
    for i in range(5):
        for j in range(5):
            later, earlier = max(i, j), min(i, j)
            wanted[i, j] = causal[0, later, earlier] * (later + 1)
    wanted /= wanted.sum(1, keepdim=True)
    found = mutual_attention(causal)
    torch.testing.assert_close(found[0], wanted)
    torch.testing.assert_close(found.sum(-1), torch.ones(1, 5))
    with pytest.raises(ValueError, match=r"\(B, N, N\)"):
        mutual_attention(causal[0])


def test_attention_that_tells_nothing_has_no_edges():
    equal = torch.ones(1, 12, 12).tril()
    equal /= equal.sum(-1, keepdim=True)
    mutual = mutual_attention(equal)
    assert attention_boundary_divergence(mutual, (3, 4)).abs().max() < 1e-6
    assert attention_boundary_divergence(equal, (3, 4)).max() > 0.1  # without


def test_two_halves_that_ignore_each_other_have_an_edge_between_them():
    half = torch.arange(36) % 6 >= 3  # of 6 columns
    causal = (half[:, None] == half).float().add(0.05).tril()[None]
    causal /= causal.sum(-1, keepdim=True)
    edges = attention_boundary_divergence(mutual_attention(causal), (6, 6))[0, 0]
    assert edges[:, 2:4].min() > 5 * edges[:, [1, 4]].max()
