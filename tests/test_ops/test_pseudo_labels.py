"""Ternary labels against loops over Alg. 2, and thin ones against where edges are known to run."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mm.ops import PSEUDO_LABELS, pseudo_edges, suppress_non_maxima, upsample_edges

grids = st.tuples(st.integers(1, 6), st.integers(1, 6))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), grid=grids, scheme=st.sampled_from(["mu_sigma", "mu"]))
def test_pseudo_edges_match_the_oracle(seed, grid, scheme):
    boundary = torch.rand(2, 1, *grid, generator=torch.Generator().manual_seed(seed))
    labels = pseudo_edges(boundary, scheme)
    assert labels.dtype == torch.int8
    assert labels.shape == boundary.shape
    for strengths, found in zip(boundary.flatten(1), labels.flatten(1), strict=True):
        values = strengths.tolist()
        mean = math.fsum(values) / len(values)
        sigma = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
        for value, label in zip(values, found.tolist(), strict=True):
            if scheme == "mu":
                limits, expected = [mean], int(value >= mean)
            else:
                limits = [mean - sigma, mean + sigma]
                expected = 1 if value > limits[1] else 0 if value < limits[0] else -1
            if all(abs(value - limit) > 1e-12 for limit in limits):
                assert label == expected


def log_normal(seed, grid=(12, 16)):
    """Strength as skewed as attention's is: its deviation is larger than its mean."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, 1, *grid, generator=generator).mul(1.5).exp()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_skewed_strength_has_interior_below_the_median(seed):
    strength = log_normal(seed)
    papers, mended = pseudo_edges(strength), pseudo_edges(strength, "mu_sigma_median")
    assert (papers == 0).float().mean() < 0.05
    assert torch.equal(mended == 1, papers == 1)
    assert 0.45 < (mended == 0).float().mean() < 0.55
    assert strength[mended == 0].max() < strength[mended != 0].min()


def test_where_the_paper_labels_enough_interior_the_mend_changes_nothing():
    strength = torch.ones(1, 1, 10, 10)
    strength[..., :3] = 0.1  # 30 of 100 tokens below mu - sigma
    strength[..., 8:] = 2.5
    papers = pseudo_edges(strength)
    assert (papers == 0).sum() == 30 and (papers == 1).sum() == 20
    assert torch.equal(pseudo_edges(strength, "mu_sigma_median"), papers)


@pytest.mark.parametrize("scheme", PSEUDO_LABELS)
def test_statistics_are_the_token_grids_whatever_size_labels_have(scheme):
    tokens = log_normal(3)
    labels = pseudo_edges(tokens, scheme, (36, 64))
    assert labels.shape == (1, 1, 36, 64)
    assert torch.equal(pseudo_edges(tokens, scheme, (12, 16)), pseudo_edges(tokens, scheme))
    if scheme != "mu":
        return
    # Enlarging blurs, so that the statistics of the enlarged map are others.
    enlarged = upsample_edges(tokens.double(), (36, 64), "bicubic")
    assert torch.equal(labels == 1, enlarged >= tokens.double().mean())
    assert enlarged.mean() != tokens.mean()


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1e-7, 123.456])
def test_pseudo_edges_of_a_flat_map(value):
    flat = torch.full((1, 1, 7, 9), value)
    assert (pseudo_edges(flat) == -1).all()
    assert (pseudo_edges(flat, "mu") == 1).all()


def test_pseudo_edges_treat_each_image_on_its_own():
    boundary = torch.rand(3, 1, 5, 6, generator=torch.Generator().manual_seed(0))
    scaled = boundary * torch.tensor([1.0, 1000.0, 0.001]).view(3, 1, 1, 1)
    assert torch.equal(pseudo_edges(scaled), pseudo_edges(boundary))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), grid=st.tuples(st.integers(1, 12), st.integers(1, 12)))
def test_ridges_match_the_oracle(seed, grid):
    boundary = torch.rand(2, 1, *grid, generator=torch.Generator().manual_seed(seed))
    labels = pseudo_edges(boundary, "ridge")
    assert labels.dtype == torch.int8
    for strength, found in zip(boundary[:, 0], labels[:, 0], strict=True):
        values = strength.flatten().tolist()
        mean = math.fsum(values) / len(values)
        sigma = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
        ridge = suppress_non_maxima(strength, border=0) > 0
        for i in range(grid[0]):
            for j in range(grid[1]):
                near = [
                    strength[y, x].item()
                    for y in range(max(0, i - 1), min(grid[0], i + 2))
                    for x in range(max(0, j - 1), min(grid[1], j + 2))
                    if ridge[y, x]
                ]
                highest = max(near, default=-1.0)
                expected = 1 if highest > mean + sigma else -1 if highest > mean else 0
                assert found[i, j] == expected


def test_ridges_are_thin_and_their_flanks_interior():
    distance = (torch.arange(32.0) - 15.5).abs()  # to a boundary between columns 15 and 16
    boundary = torch.exp(-((distance / 3) ** 2)).expand(1, 1, 24, 32).contiguous()
    labels = pseudo_edges(boundary, "ridge")[0, 0]
    assert (labels[:, 14:18] == 1).all()
    assert (labels[:, :14] == 0).all()
    assert (labels[:, 18:] == 0).all()
    assert (pseudo_edges(boundary, "mu")[0, 0, :, 13:19] == 1).all()  # the whole slope


def test_ridges_label_a_weak_boundary_as_uncertain():
    boundary = torch.zeros(1, 1, 24, 48)
    boundary[..., 12] = 1.0
    boundary[..., 36] = 0.1  # the mean is 0.02, the deviation 0.15
    labels = pseudo_edges(boundary, "ridge")[0, 0]
    assert (labels[:, 12] == 1).all()
    assert (labels[:, 36] == -1).all()
    assert (labels[:, 20:30] == 0).all()


def test_ridges_leave_an_interior_where_strength_is_skewed():
    strength = torch.zeros(1, 1, 24, 24)
    strength[..., 12] = 1.0
    assert not (pseudo_edges(strength) == 0).any()  # mean - deviation is below 0
    assert (pseudo_edges(strength, "ridge") == 0).float().mean() > 0.8


@pytest.mark.parametrize("value", [0.0, 0.1, 123.456])
def test_a_flat_map_has_no_ridge(value):
    assert (pseudo_edges(torch.full((1, 1, 7, 9), value), "ridge") == 0).all()


@pytest.mark.parametrize(
    ("boundary", "message"),
    [
        (torch.rand(4, 5), r"boundary must be \(B, 1, h, w\), got \(4, 5\)"),
        (torch.rand(1, 3, 4, 5), "boundary must be"),
        (torch.full((1, 1, 2, 2), float("nan")), "nan or infinite"),
        (torch.ones(1, 1, 2, 2, dtype=torch.long), "floating point"),
    ],
)
def test_pseudo_edge_errors(boundary, message):
    with pytest.raises(ValueError, match=message):
        pseudo_edges(boundary)


def test_unknown_schemes_are_errors():
    with pytest.raises(ValueError, match="scheme must be one of mu_sigma, mu_sigma_median, "):
        pseudo_edges(torch.rand(1, 1, 2, 2), "otsu")
