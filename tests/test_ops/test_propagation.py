import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import chebyshev

from tests.test_ops.test_affinity import naive_transition
from trace_mm.ops import edge_fragments, propagate_fragments, propagate_masks
from trace_mm.ops.propagation import power_weights


def naive_propagation(masks, edges, radius=5, beta=10, steps=256):
    """Eq. 11 with the dense matrix, in float64."""
    walk = np.linalg.matrix_power(naive_transition(edges, radius, beta), steps)
    seeds = (masks * (1 - edges)).reshape(len(masks), -1)
    return (walk @ seeds.T).T.reshape(masks.shape)


def random_case(seed, height, width, sharpness):
    rng = np.random.default_rng(seed)
    edges = rng.random((height, width)) ** sharpness
    return rng.random((3, height, width)) > 0.5, edges


def deviation(result, expected):
    return np.abs(result.double().numpy() - expected).max()


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from([0.2, 1.0, 4.0, 20.0]),
    st.sampled_from([0, 1, 2, 7, 40, 256, 1001]),
)
def test_it_is_the_power_of_the_dense_walk(seed, height, width, sharpness, steps):
    masks, edges = random_case(seed, height, width, sharpness)
    expected = naive_propagation(masks, edges, steps=steps)
    arguments = torch.from_numpy(masks), torch.from_numpy(edges)

    assert deviation(propagate_masks(*arguments, steps=steps), expected) < 1e-4
    assert deviation(propagate_masks(*arguments, steps=steps, exact=True), expected) < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(40, 40), (40, 23), (17, 40)])
def test_it_is_the_power_of_the_dense_walk_on_larger_grids(height, width):
    masks, edges = random_case(3, height, width, 3.0)
    edges[height // 2, 3:-3] = 1
    expected = naive_propagation(masks, edges)
    arguments = torch.from_numpy(masks), torch.from_numpy(edges)

    assert deviation(propagate_masks(*arguments), expected) < 1e-4
    assert deviation(propagate_masks(*arguments, exact=True), expected) < 1e-9


@pytest.mark.parametrize(("radius", "beta"), [(2, 10), (3, 1), (7, 4)])
def test_radius_and_beta_are_those_of_the_walk(radius, beta):
    masks, edges = random_case(4, 9, 11, 2.0)

    result = propagate_masks(
        torch.from_numpy(masks), torch.from_numpy(edges), radius, beta, 50, exact=True
    )

    assert deviation(result, naive_propagation(masks, edges, radius, beta, 50)) < 1e-9


@pytest.mark.parametrize("corner_only", [False, True])
def test_nothing_leaks_through_a_closed_line(corner_only):
    """Also through one whose pixels touch at their corners only."""
    rows, columns = np.indices((31, 31))
    distance = (
        abs(rows - 15) + abs(columns - 15) if corner_only else np.hypot(rows - 15, columns - 15)
    )
    edges = torch.from_numpy((np.rint(distance) == 10).astype(np.float32))
    inside = torch.from_numpy(np.rint(distance) < 10)

    walked = propagate_masks(inside[None], edges)[0]

    assert walked[~inside].max() == 0
    assert walked[inside].min() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("strength", [0.5, 0.8, 0.95])
def test_the_leak_through_a_weak_line_is_bounded(strength):
    """Of all entries of a row, only those that cross the line lead out: each at most
    (1 - strength)^beta beside the 1 of staying, in each of the steps."""
    edges = torch.zeros(24, 24)
    edges[:, 12] = strength
    left = torch.zeros(1, 24, 24, dtype=torch.bool)
    left[:, :, :12] = True

    leaked = propagate_masks(left, edges, steps=20)[0, :, 13:].max()

    assert 0 < leaked <= 20 * 68 * (1 - strength) ** 10


def test_a_fragment_fills_what_edges_enclose():
    edges = torch.zeros(20, 20)
    edges[[2, 17], 2:18] = 1
    edges[2:18, [2, 17]] = 1
    fragment = torch.zeros(1, 20, 20, dtype=torch.bool)
    fragment[0, 3:6, 3:6] = True

    walked = propagate_masks(fragment, edges)[0]

    inside = walked[3:17, 3:17]
    assert inside.min() > 0.5 * inside.max()
    assert walked[:2].max() == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_masks_do_not_influence_each_other(seed):
    masks, edges = random_case(seed, 8, 9, 3.0)
    masks, edges = torch.from_numpy(masks), torch.from_numpy(edges)

    together = propagate_masks(masks, edges)
    alone = torch.cat([propagate_masks(mask[None], edges) for mask in masks])

    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("power", [0, 1, 2, 3, 10, 255, 256])
def test_the_weights_sum_up_to_the_power(power):
    points = np.linspace(-1, 1, 101)

    series = chebyshev.chebval(points, power_weights(power, 1e-15))

    np.testing.assert_allclose(series, points**power, atol=1e-13)


def test_256_steps_take_71_products():
    weights = power_weights(256, 1e-5)

    assert len(weights) - 1 == 70
    points = np.linspace(-1, 1, 1001)
    assert np.abs(chebyshev.chebval(points, weights) - points**256).max() < 1e-5


def test_inputs_are_left_alone_and_no_mask_is_no_error():
    masks, edges = (torch.from_numpy(array) for array in random_case(5, 6, 6, 1.0))
    before = masks.clone(), edges.clone()

    propagate_masks(masks, edges)

    assert torch.equal(masks, before[0])
    assert torch.equal(edges, before[1])
    assert propagate_masks(masks[:0], edges).shape == (0, 6, 6)


@pytest.mark.parametrize(
    ("masks", "edges", "steps", "message"),
    [
        (torch.zeros(4, 4), torch.zeros(4, 4), 1, r"masks must be \(K, H, W\)"),
        (torch.zeros(1, 4, 5), torch.zeros(4, 4), 1, r"\(1, 4, 5\) and \(4, 4\)"),
        (torch.zeros(1, 4, 4), torch.zeros(4, 4), -1, "steps must not be negative"),
    ],
)
def test_what_does_not_fit_is_refused(masks, edges, steps, message):
    with pytest.raises(ValueError, match=message):
        propagate_masks(masks, edges, steps=steps)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.05, 0.3]), st.sampled_from([0.6, 1.0]))
def test_fragments_walk_in_their_boxes_as_in_the_whole_image(seed, noise, strongest):
    """Closed lines of strength 1 make boxes; those of 0.6 are none, since a walk gets across."""
    rng = np.random.default_rng(seed)
    edges = rng.random((40, 50)).astype(np.float32) * np.float32(noise)
    edges[rng.integers(8, 20) :: 13] = edges[:, rng.integers(8, 20) :: 11] = strongest
    mask = torch.from_numpy(rng.random((2, 40, 50)) > 0.2)
    edges = torch.from_numpy(edges)
    fragments, _ = edge_fragments(mask, edges, 0.5, split_parts=True)
    fragments = fragments[fragments.flatten(1).sum(1) > 4]

    walked = propagate_fragments(fragments, edges)

    torch.testing.assert_close(walked, propagate_masks(fragments, edges), atol=2e-3, rtol=0)


def test_a_fragment_on_closed_edges_altogether_walks_nowhere():
    edges = torch.ones(6, 7)
    assert propagate_fragments(torch.ones(1, 6, 7, dtype=torch.bool), edges).abs().max() == 0
    assert propagate_fragments(torch.zeros(0, 6, 7, dtype=torch.bool), edges).shape == (0, 6, 7)
