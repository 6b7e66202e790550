"""Boundary divergence and its scaling against loops over Eq. 2."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mm.ops import (
    DIVERGENCES,
    attention_boundary_divergence,
    divergence,
    normalize_edges,
    pseudo_edges,
    upsample_edges,
)

GRIDS = [(4, 4), (3, 5), (5, 3), (2, 2), (1, 1), (1, 6), (6, 1), (2, 7), (7, 2)]
grids = st.tuples(st.integers(1, 6), st.integers(1, 6))


def _attention(seed, grid, batch=1):
    tokens = grid[0] * grid[1]
    generator = torch.Generator().manual_seed(seed)
    return torch.softmax(2 * torch.randn(batch, tokens, tokens, generator=generator), -1)


def _oracle(attention, grid, kind, neighbors):
    """Eq. 2 token by token: (h, w) nested lists."""
    height, width = grid
    directions = [(1, 0), (0, 1)] + ([(1, 1), (1, -1)] if neighbors == 8 else [])

    def score(p, q):
        if kind == "kl":
            pairs = zip(p.tolist(), q.tolist(), strict=True)
            return sum(a * (math.log(a) - math.log(b)) for a, b in pairs)
        return divergence(p, q, kind).item()

    def boundary_at(i, j):
        def row(y, x):
            inside = 0 <= y < height and 0 <= x < width
            return attention[y * width + x if inside else i * width + j].double()

        return sum(score(row(i + y, j + x), row(i - y, j - x)) for y, x in directions)

    return [[boundary_at(i, j) for j in range(width)] for i in range(height)]


@pytest.mark.parametrize("neighbors", [4, 8])
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("kind", DIVERGENCES)
def test_matches_the_oracle(kind, grid, neighbors):
    attention = _attention(1, grid, batch=2)
    result = attention_boundary_divergence(attention, grid, kind, neighbors)
    assert result.shape == (2, 1, *grid)
    assert result.dtype == torch.float32
    for sample, edges in zip(attention, result, strict=True):
        np.testing.assert_allclose(
            edges[0].numpy(), _oracle(sample, grid, kind, neighbors), rtol=1e-4, atol=1e-6
        )


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    grid=grids,
    neighbors=st.sampled_from([4, 8]),
    kind=st.sampled_from(sorted(DIVERGENCES)),
    chunk_rows=st.integers(1, 8),
)
def test_chunks_do_not_change_the_result(seed, grid, neighbors, kind, chunk_rows):
    attention = _attention(seed, grid)
    torch.testing.assert_close(
        attention_boundary_divergence(attention, grid, kind, neighbors, chunk_rows=chunk_rows),
        attention_boundary_divergence(attention, grid, kind, neighbors, chunk_rows=1000),
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), grid=grids, kind=st.sampled_from(["kl", "js", "l1"]))
def test_the_order_of_keys_is_irrelevant(seed, grid, kind):
    attention = _attention(seed, grid)
    tokens = grid[0] * grid[1]
    order = torch.randperm(tokens, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(
        attention_boundary_divergence(attention[..., order], grid, kind),
        attention_boundary_divergence(attention, grid, kind),
        rtol=1e-4,
        atol=1e-6,
    )


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    grid=grids,
    neighbors=st.sampled_from([4, 8]),
    kind=st.sampled_from(["symmetric_kl", "js", "l2", "l1", "entropy", "cosine"]),
    turn=st.sampled_from(["rows", "columns", "transpose"]),
)
def test_follows_flips_and_transposition_of_the_image(seed, grid, neighbors, kind, turn):
    """Symmetric divergences see no direction, so edges turn with the image."""

    def apply(maps):  # (..., h, w)
        return {"rows": maps.flip(-2), "columns": maps.flip(-1), "transpose": maps.mT}[turn]

    attention = _attention(seed, grid)
    new_grid = grid[::-1] if turn == "transpose" else grid
    order = apply(torch.arange(grid[0] * grid[1]).view(grid)).flatten()
    turned = attention[:, order][:, :, order]
    torch.testing.assert_close(
        attention_boundary_divergence(turned, new_grid, kind, neighbors),
        apply(attention_boundary_divergence(attention, grid, kind, neighbors)),
        rtol=1e-4,
        atol=1e-6,
    )


def test_kl_has_the_direction_of_the_paper():
    """Below || above, right || left: a flip is not the same, and transposition is."""
    grid = (3, 4)
    attention = _attention(2, grid)
    order = torch.arange(12).view(grid).mT.flatten()
    torch.testing.assert_close(
        attention_boundary_divergence(attention[:, order][:, :, order], (4, 3)),
        attention_boundary_divergence(attention, grid).mT,
    )
    column = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.1, 0.1, 0.8]])
    middle = attention_boundary_divergence(column[None], (3, 1))[0, 0, 1, 0]
    torch.testing.assert_close(middle, divergence(column[2], column[0]))


def test_an_object_border_is_where_the_edge_is():
    """Two halves that attend to themselves: an edge two tokens wide, nothing elsewhere."""
    height, width = 4, 6
    left = (torch.arange(height * width) % width < 3).float()
    same = left[:, None] * left[None] + (1 - left[:, None]) * (1 - left[None])
    attention = (same + 0.01) / (same + 0.01).sum(-1, keepdim=True)
    edges = attention_boundary_divergence(attention[None], (height, width), "js")[0, 0]
    assert (edges[:, 2:4] > 0.5).all()
    torch.testing.assert_close(edges[:, [0, 1, 4, 5]], torch.zeros(4, 4))
    labels = pseudo_edges(edges[None, None])
    assert (labels[0, 0, :, 2:4] == 1).all()
    assert not (labels[0, 0, :, [0, 1, 4, 5]] == 1).any()


def test_uniform_attention_has_no_edges():
    uniform = torch.full((1, 20, 20), 1 / 20)
    edges = attention_boundary_divergence(uniform, (4, 5), neighbors=8)
    assert (edges == 0).all()
    assert (normalize_edges(edges) == 0).all()


def test_zero_probabilities_are_finite():
    edges = attention_boundary_divergence(torch.eye(12)[None], (3, 4))
    assert torch.isfinite(edges).all()
    assert (edges > 0).all()


@pytest.mark.parametrize("neighbors", [4, 8])
@pytest.mark.parametrize("kind", DIVERGENCES)
def test_is_differentiable(kind, neighbors):
    attention = _attention(3, (3, 2)).double().requires_grad_()

    def boundary(values):
        return attention_boundary_divergence(values, (3, 2), kind, neighbors, chunk_rows=1)

    assert boundary(attention).dtype == torch.float64
    assert torch.autograd.gradcheck(boundary, attention)


def test_the_input_is_left_alone_and_need_not_be_contiguous():
    attention = _attention(4, (3, 4)).mT
    before = attention.clone()
    torch.testing.assert_close(
        attention_boundary_divergence(attention, (3, 4)),
        attention_boundary_divergence(attention.contiguous(), (3, 4)),
    )
    assert torch.equal(attention, before)


def test_half_precision_is_computed_in_float32():
    attention = _attention(5, (3, 4)).half()
    result = attention_boundary_divergence(attention, (3, 4))
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, attention_boundary_divergence(attention.float(), (3, 4)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"grid": (2, 5)}, r"\(B, h\*w, keys\) for grid \(2, 5\), got \(1, 12, 12\)"),
        ({"grid": (0, 12)}, "for grid"),
        ({"grid": (-3, -4)}, "for grid"),
        ({"divergence": "chi2"}, "unknown divergence"),
        ({"neighbors": 6}, "neighbors must be 4 or 8, got 6"),
        ({"chunk_rows": 0}, "chunk_rows must be positive"),
        ({"attention": torch.rand(12, 12)}, "for grid"),
        ({"attention": torch.ones(1, 12, 12, dtype=torch.long)}, "floating point"),
    ],
)
def test_boundary_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        attention_boundary_divergence(
            **{"attention": _attention(6, (3, 4)), "grid": (3, 4), **arguments}
        )


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    grid=grids,
    method=st.sampled_from(["max", "quantile", "none"]),
    quantile=st.floats(0.01, 1.0),
)
def test_normalize_edges_matches_the_oracle(seed, grid, method, quantile):
    generator = torch.Generator().manual_seed(seed)
    boundary = 3 * torch.rand(2, 1, *grid, generator=generator) - 0.3
    result = normalize_edges(boundary, method, quantile)
    assert result.min() >= 0
    assert result.max() <= 1
    for strengths, found in zip(boundary.flatten(1), result.flatten(1), strict=True):
        values = [max(value, 0.0) for value in strengths.tolist()]
        scale = 1.0
        if method != "none":
            scale = max(values)
        if method == "quantile":
            high = next(
                limit
                for limit in sorted(values)
                if sum(value <= limit for value in values) >= quantile * len(values)
            )
            scale = high or scale
        expected = [min(value / (scale or 1.0), 1.0) for value in values]
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_normalize_edges_reaches_one_and_ignores_scale():
    boundary = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    for method in ("max", "quantile"):
        edges = normalize_edges(boundary, method)
        assert (edges.amax(dim=(1, 2, 3)) == 1).all()
        torch.testing.assert_close(normalize_edges(1000 * boundary, method), edges)


def test_quantile_is_not_dimmed_by_one_extreme_token():
    boundary = torch.rand(1, 1, 20, 20, generator=torch.Generator().manual_seed(2))
    boundary[0, 0, 3, 4] = 1e6
    assert normalize_edges(boundary, "max").median() < 1e-5
    assert normalize_edges(boundary, "quantile").median() > 0.4


def test_quantile_of_a_nearly_empty_map_falls_to_the_largest_value():
    boundary = torch.zeros(1, 1, 20, 20)
    boundary[0, 0, 3, 4], boundary[0, 0, 5, 5] = 4.0, 2.0
    edges = normalize_edges(boundary, "quantile")
    assert edges[0, 0, 3, 4] == 1
    assert edges[0, 0, 5, 5] == 0.5


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(13, 7), (1, 9), (4, 5), (2, 2)])
def test_upsample_edges_stays_in_range(mode, size):
    edges = torch.randint(0, 2, (2, 1, 4, 5), generator=torch.Generator().manual_seed(3)).float()
    result = upsample_edges(edges, size, mode)
    assert result.shape == (2, 1, *size)
    assert result.min() >= 0
    assert result.max() <= 1
    if size == (4, 5):
        torch.testing.assert_close(result, edges)


def test_upsample_edges_bilinear_matches_the_oracle():
    edges = torch.rand(1, 1, 3, 4, generator=torch.Generator().manual_seed(4))
    height, width = 7, 10
    source = edges[0, 0].tolist()

    def axis(index, fine, coarse):
        """Centre of the pixel in token coordinates: lower token, upper token, share of upper."""
        place = min(max((index + 0.5) * coarse / fine - 0.5, 0.0), coarse - 1.0)
        return int(place), min(int(place) + 1, coarse - 1), place - int(place)

    expected = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            top, bottom, y = axis(i, height, 3)
            left, right, x = axis(j, width, 4)
            upper = (1 - x) * source[top][left] + x * source[top][right]
            lower = (1 - x) * source[bottom][left] + x * source[bottom][right]
            expected[i, j] = (1 - y) * upper + y * lower
    result = upsample_edges(edges, (height, width))[0, 0].numpy()
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_upsampling_follows_flips_and_keeps_constants(mode):
    edges = torch.rand(1, 1, 3, 4, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(
        upsample_edges(edges.flip(-1), (9, 14), mode), upsample_edges(edges, (9, 14), mode).flip(-1)
    )
    constant = torch.full((1, 1, 3, 4), 0.25)
    torch.testing.assert_close(
        upsample_edges(constant, (8, 9), mode), torch.full((1, 1, 8, 9), 0.25)
    )


@pytest.mark.parametrize(
    ("boundary", "message"),
    [
        (torch.rand(4, 5), r"boundary must be \(B, 1, h, w\), got \(4, 5\)"),
        (torch.rand(1, 3, 4, 5), "boundary must be"),
        (torch.rand(1, 1, 0, 5), "boundary must be"),
        (torch.full((1, 1, 2, 2), float("nan")), "nan or infinite"),
        (torch.full((1, 1, 2, 2), float("inf")), "nan or infinite"),
        (torch.ones(1, 1, 2, 2, dtype=torch.long), "floating point"),
    ],
)
def test_edge_map_errors(boundary, message):
    with pytest.raises(ValueError, match=message):
        normalize_edges(boundary)


def test_option_errors():
    edges = torch.rand(1, 1, 2, 2)
    with pytest.raises(ValueError, match="method must be"):
        normalize_edges(edges, "softmax")
    with pytest.raises(ValueError, match="quantile must lie in"):
        normalize_edges(edges, "quantile", 0.0)
    with pytest.raises(ValueError, match="mode must be"):
        upsample_edges(edges, (4, 4), "area")
    with pytest.raises(ValueError, match="size must be"):
        upsample_edges(edges, (0, 4))
    with pytest.raises(ValueError, match="edges holds nan"):
        upsample_edges(edges * float("nan"), (4, 4))
