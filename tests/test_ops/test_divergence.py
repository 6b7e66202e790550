"""Divergences against loops in float64 that are written from the definitions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy as scipy_entropy
from scipy.stats import wasserstein_distance as scipy_wasserstein

from trace_mm import ops
from trace_mm.ops import DIVERGENCES, divergence

EPSILON = 1e-12


def _log(value):
    return math.log(max(value, EPSILON))


def _kl(p, q):
    return sum(a * (_log(a) - _log(b)) for a, b in zip(p, q, strict=True))


def _mean(values):
    return sum(values) / len(values)


def _wasserstein(p, q):
    """Earth moved over each gap between neighbouring entries."""
    carried, total = 0.0, 0.0
    for a, b in zip(p[:-1], q[:-1], strict=True):
        carried += a - b
        total += abs(carried)
    return total


def _cosine(p, q):
    norm = math.sqrt(sum(a * a for a in p)) * math.sqrt(sum(b * b for b in q))
    return 1 - sum(a * b for a, b in zip(p, q, strict=True)) / norm


def _js(p, q):
    m = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return (_kl(p, m) + _kl(q, m)) / 2


ORACLES = {
    "kl": _kl,
    "symmetric_kl": lambda p, q: (_kl(p, q) + _kl(q, p)) / 2,
    "js": _js,
    "l2": lambda p, q: _mean([(a - b) ** 2 for a, b in zip(p, q, strict=True)]),
    "l1": lambda p, q: _mean([abs(a - b) for a, b in zip(p, q, strict=True)]),
    "entropy": lambda p, q: abs(sum(a * _log(a) for a in p) - sum(b * _log(b) for b in q)),
    "wasserstein": _wasserstein,
    "cosine": _cosine,
}
SYMMETRIC = sorted(set(DIVERGENCES) - {"kl"})


def _distributions(seed, *shape, zeros=False):
    generator = torch.Generator().manual_seed(seed)
    values = torch.softmax(3 * torch.randn(*shape, generator=generator), -1)
    if zeros:
        values = values * (torch.rand(*shape, generator=generator) > 0.4)
        values[..., 0] += 0.1
        values = values / values.sum(-1, keepdim=True)
    return values


def test_every_kind_has_an_oracle():
    assert set(ORACLES) == set(DIVERGENCES)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("kind", DIVERGENCES)
def test_matches_the_oracle(kind, zeros):
    p = _distributions(1, 3, 5, 11, zeros=zeros)
    q = _distributions(2, 3, 5, 11, zeros=zeros)
    expected = [
        [ORACLES[kind](a.tolist(), b.tolist()) for a, b in zip(rows_p, rows_q, strict=True)]
        for rows_p, rows_q in zip(p.double(), q.double(), strict=True)
    ]
    result = divergence(p, q, kind)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.numpy(), expected, rtol=2e-5, atol=2e-7)


def test_agrees_with_scipy():
    p, q = _distributions(3, 9).double(), _distributions(4, 9).double()
    places = np.arange(9)
    torch.testing.assert_close(
        ops.wasserstein_distance(p, q).item(), scipy_wasserstein(places, places, p, q)
    )
    torch.testing.assert_close(ops.kl_divergence(p, q).item(), scipy_entropy(p, q))


@pytest.mark.parametrize("kind", DIVERGENCES)
def test_compares_along_the_given_dimension(kind):
    p, q = _distributions(5, 2, 7, 4), _distributions(6, 2, 7, 4)
    expected = divergence(p, q, kind)
    result = divergence(p.movedim(-1, 1), q.movedim(-1, 1), kind, dim=1)
    torch.testing.assert_close(result, expected)


@pytest.mark.parametrize("kind", DIVERGENCES)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), entries=st.integers(1, 40), zeros=st.booleans())
def test_is_a_divergence(kind, seed, entries, zeros):
    p = _distributions(seed, 4, entries, zeros=zeros)
    q = _distributions(seed + 1, 4, entries, zeros=zeros)
    result = divergence(p, q, kind)
    assert torch.isfinite(result).all()
    assert (result >= -1e-6).all()
    torch.testing.assert_close(divergence(p, p, kind), torch.zeros(4), rtol=0, atol=1e-6)
    if kind in SYMMETRIC:
        torch.testing.assert_close(divergence(q, p, kind), result)
    if kind == "js":
        assert (result <= math.log(2) + 1e-6).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), kind=st.sampled_from(sorted(set(DIVERGENCES) - {"wasserstein"})))
def test_order_of_entries_is_irrelevant(seed, kind):
    p, q = _distributions(seed, 3, 12), _distributions(seed + 1, 3, 12)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(
        divergence(p[:, order], q[:, order], kind), divergence(p, q, kind), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("kind", DIVERGENCES)
def test_disjoint_distributions_are_finite(kind):
    p, q = torch.tensor([1.0, 0, 0, 0]), torch.tensor([0, 0, 0, 1.0])
    expected = {
        "kl": -math.log(EPSILON),
        "symmetric_kl": -math.log(EPSILON),
        "js": math.log(2),
        "l2": 0.5,
        "l1": 0.5,
        "entropy": 0.0,
        "wasserstein": 3.0,
        "cosine": 1.0,
    }
    assert divergence(p, q, kind).item() == pytest.approx(expected[kind], rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("kind", DIVERGENCES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(kind, dtype):
    p, q = _distributions(7, 6, 9).to(dtype), _distributions(8, 6, 9).to(dtype)
    torch.testing.assert_close(divergence(p, q, kind), divergence(p.float(), q.float(), kind))


@pytest.mark.parametrize("kind", DIVERGENCES)
def test_is_differentiable(kind):
    p = _distributions(9, 2, 5).double().requires_grad_()
    q = _distributions(10, 2, 5).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: divergence(a, b, kind), (p, q))


@pytest.mark.parametrize("kind", DIVERGENCES)
def test_nan_is_not_hidden(kind):
    p = torch.tensor([float("nan"), 0.5])
    assert divergence(p, torch.tensor([0.5, 0.5]), kind).isnan()


def test_one_all_zero_row_has_cosine_distance_one():
    assert ops.cosine_distance(torch.zeros(3), torch.ones(3) / 3) == 1


def test_errors():
    with pytest.raises(ValueError, match="unknown divergence 'chi2'; known: kl, "):
        divergence(torch.ones(2), torch.ones(2), "chi2")
    with pytest.raises(ValueError, match=r"one shape, got \(2,\) and \(3,\)"):
        divergence(torch.ones(2), torch.ones(3))
    with pytest.raises(ValueError, match=r"p must be floating point, got torch\.int64"):
        divergence(torch.ones(2, dtype=torch.long), torch.ones(2, dtype=torch.long))
