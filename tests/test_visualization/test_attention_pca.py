import numpy as np
import pytest

from trace_mm.visualization import attention_pca_colors

GRID = (9, 10)  # more tokens than are decomposed in full


def _blocks(grid, seed=0):
    """Attention of an image whose left, middle and right thirds attend to themselves, and noise."""
    part = (np.arange(grid[0] * grid[1]) % grid[1]) * 3 // grid[1]
    same = (part[:, None] == part[None, :]).astype(np.float32)
    noisy = same + 0.05 * np.random.default_rng(seed).random(same.shape)
    return (noisy / noisy.sum(1, keepdims=True)).astype(np.float32), part


@pytest.mark.parametrize("grid", [(6, 6), GRID])
def test_parts_have_their_own_colors(grid):
    attention, part = _blocks(grid)
    (colors,) = attention_pca_colors([(attention, grid)])
    assert (colors.shape, colors.dtype) == ((*grid, 3), np.uint8)
    flat = colors.reshape(-1, 3).astype(float)
    # The first two components tell three parts apart, the third is noise.
    centers = np.array([flat[part == k, :2].mean(0) for k in range(3)])
    spread = max(flat[part == k, :2].std(0).max() for k in range(3))
    gaps = [np.linalg.norm(centers[a] - centers[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert min(gaps) > 5 * spread


def test_colors_are_turned_to_the_reference():
    first, second = _blocks(GRID, 0)[0], _blocks(GRID, 1)[0]
    for reference in (0, 1):
        colors = attention_pca_colors([(first, GRID), (second, GRID)], reference)
        alone = attention_pca_colors([((first, second)[reference], GRID)])[0]
        np.testing.assert_array_equal(colors[reference], alone)
        difference = np.abs(colors[0][:, :, :2].astype(float) - colors[1][:, :, :2])
        assert np.median(difference) < 25


def test_same_input_same_colors():
    maps = [(_blocks(GRID)[0], GRID)]
    np.testing.assert_array_equal(attention_pca_colors(maps)[0], attention_pca_colors(maps)[0])


@pytest.mark.parametrize("grid", [(1, 1), (1, 2), (1, 100), (8, 9)])
def test_attention_without_structure_is_grey(grid):
    tokens = grid[0] * grid[1]
    attention = np.full((tokens, tokens), 1 / tokens, np.float32)
    (colors,) = attention_pca_colors([(attention, grid)])
    np.testing.assert_array_equal(colors, np.full((*grid, 3), 128, np.uint8))


def test_wrong_shapes():
    with pytest.raises(ValueError, match="attention must be"):
        attention_pca_colors([(np.zeros((4, 4), np.float32), (2, 3))])
    with pytest.raises(ValueError, match="share a grid"):
        attention_pca_colors([(_blocks((6, 6))[0], (6, 6)), (_blocks(GRID)[0], GRID)])
