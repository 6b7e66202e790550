import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_ops.test_affinity import naive_transition
from trace_mm.ops import walk_scores


def naive_means(scores, edges, steps):
    """Each pixel's mean of the scores that its walks end at, by the dense matrix, in float64."""
    walk = np.linalg.matrix_power(naive_transition(edges, 5, 10), steps)  # (N, N)
    weights = walk * (1 - edges).ravel()  # of each target pixel
    reached = weights.sum(1)
    means = np.empty((len(scores), edges.size))
    for number, plane in enumerate(scores):
        for pixel in range(edges.size):
            enough = reached[pixel] >= 0.01
            means[number, pixel] = (
                weights[pixel] @ plane.ravel() / reached[pixel] if enough else plane.flat[pixel]
            )
    return means.reshape(scores.shape), reached.reshape(edges.shape)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([0.3, 1.0, 5.0]),
    st.sampled_from([0, 1, 16, 64]),
)
def test_it_is_the_weighted_mean_of_the_dense_walk(seed, height, width, sharpness, steps):
    rng = np.random.default_rng(seed)
    edges = rng.random((height, width)) ** sharpness
    scores = rng.normal(-3, 5, (3, height, width))  # as cosines or logits, some are negative
    expected, reached = naive_means(scores, edges, steps)
    means, found = walk_scores(torch.from_numpy(scores), torch.from_numpy(edges), steps=steps)
    clear = np.abs(reached - 0.01) > 1e-4  # else rounding decides which of two rules holds
    error = np.abs(means.numpy() - expected) * np.maximum(reached, 0.01)
    assert error[:, clear].max(initial=0) < 2e-4 * np.ptp(scores) + 1e-5
    np.testing.assert_allclose(found.numpy(), reached, atol=1e-4)
    assert means.min() >= scores.min() - 1e-4
    assert means.max() <= scores.max() + 1e-4


def test_scores_stop_at_a_line_and_fill_what_it_encloses():
    edges = torch.zeros(12, 21)
    edges[:, 10] = 1
    scores = torch.zeros(2, 12, 21)
    scores[0, 4:8, 2:5] = 1  # sure of the first class in the middle of the left side only
    scores[1, 4:8, 14:17] = 1
    means, reached = walk_scores(scores, edges, steps=256)
    best = means.argmax(0)
    assert (best[:, :10] == 0).all()
    assert (best[:, 11:] == 1).all()
    assert (reached[:, 10] == 0).all()
    torch.testing.assert_close(means[:, :, 10], scores[:, :, 10])


def test_scores_that_are_the_same_everywhere_stay():
    edges = torch.rand(8, 8, generator=torch.Generator().manual_seed(0))
    scores = torch.tensor([-2.0, 7.0])[:, None, None].expand(2, 8, 8)
    means, _ = walk_scores(scores, edges)
    torch.testing.assert_close(means, scores.contiguous(), atol=2e-2, rtol=0)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (torch.zeros(4, 4), "must be float maps"),
        (torch.zeros(0, 4, 4), "must be float maps"),
        (torch.zeros(2, 4, 4, dtype=torch.int64), "must be float maps"),
        (torch.full((2, 4, 4), float("nan")), "finite"),
        (torch.zeros(2, 4, 5), "with edges"),
    ],
)
def test_what_is_no_score_map_is_refused(scores, message):
    with pytest.raises(ValueError, match=message):
        walk_scores(scores, torch.zeros(4, 4))
