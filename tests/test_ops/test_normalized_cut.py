"""The normalised cut against the dense generalised eigenproblem, hard spectra included."""

import sys

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trace_mm.ops.normalized_cut import normalized_cut, similar_patches

EPS = 1e-5


def dense_solution(neighbors, eps=EPS):
    """Second and third smallest mu of (D - W) x = mu D x, and x of the second."""
    affinity = np.where(neighbors.numpy(), 1.0, eps)
    degrees = np.diag(affinity.sum(1))
    return degrees, *scipy.linalg.eigh(degrees - affinity, degrees, subset_by_index=[1, 2])


def assert_same_cut(neighbors, eps=EPS):
    """The same eigenvalue, vector and bipartition as the dense solver's."""
    found = normalized_cut(neighbors, eps)
    degrees, values, vectors = dense_solution(neighbors, eps)
    ours = found.eigenvector.numpy()
    assert found.eigenvalue == pytest.approx(values[0], abs=1e-9)
    assert ours @ degrees @ ours == pytest.approx(1.0)
    if values[1] - values[0] > 1e-9:  # else the dense solver's vector is one of many, too
        assert abs(ours @ degrees @ vectors[:, 0]) == pytest.approx(1.0, abs=1e-8)
        above, expected = ours - ours.mean(), vectors[:, 0] - vectors[:, 0].mean()
        clear = abs(expected) > 1e-6 * abs(expected).max()  # rounding decides of the others
        agree = np.mean((above > 0)[clear] == (expected > 0)[clear])
        assert max(agree, 1 - agree) >= 0.99
    return found


def cluster_features(labels, noise, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.as_tensor(labels)
    means = torch.randn(int(labels.max()) + 1, 32, generator=generator)
    return means[labels] + noise * torch.randn(len(labels), 32, generator=generator)


def random_labels(count, clusters, seed):
    return torch.randint(0, clusters, (count,), generator=torch.Generator().manual_seed(seed))


def test_similar_patches_are_those_of_the_definition():
    features = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    features[3] = 0
    found = similar_patches(features, 0.2)
    for i, one in enumerate(features.double()):
        for j, other in enumerate(features.double()):
            product = one.norm() * other.norm()
            cosine = float(one @ other / product) if product > 0 else 0.0
            assert bool(found[i, j]) == (cosine > 0.2)


def test_similar_patches_are_symmetric_beyond_one_block():
    features = torch.randn(1300, 3, generator=torch.Generator().manual_seed(0))
    found = similar_patches(features, 0.5)
    assert torch.equal(found, found.T)
    unit = torch.nn.functional.normalize(features, dim=1)
    assert torch.count_nonzero(found != (unit @ unit.T > 0.5)) < 10  # rounding


@pytest.mark.parametrize("count", [3, 40, 300, 700])
@pytest.mark.parametrize(("clusters", "noise", "threshold"), [(4, 1.0, 0.2), (6, 0.3, 0.5)])
def test_cuts_as_the_dense_solver_does(count, clusters, noise, threshold):
    features = cluster_features(random_labels(count, clusters, seed=count), noise)
    found = assert_same_cut(similar_patches(features, threshold))
    assert (found.steps > 0) == (count > 128)


def test_two_patches():
    found = normalized_cut(torch.eye(2, dtype=torch.bool))
    torch.testing.assert_close(found.eigenvector.sum().item(), 0.0, atol=1e-9, rtol=0)
    assert found.eigenvector[0] > 0


@settings(max_examples=25, deadline=None)
@example(seed=1, clusters=1, noise=0.5, threshold=0.5)  # most entries are 0
@given(
    seed=st.integers(0, 2**31),
    clusters=st.integers(1, 12),
    noise=st.floats(0.1, 3.0),
    threshold=st.floats(-0.2, 0.8),
)
def test_cuts_as_the_dense_solver_does_whatever_the_features(seed, clusters, noise, threshold):
    features = cluster_features(random_labels(200, clusters, seed), noise, seed)
    assert_same_cut(similar_patches(features, threshold))


@pytest.mark.parametrize(
    "sizes",
    [
        [300, 200],
        [150, 150, 149, 148],  # eigenvalues within 1e-6 of one another
        [200, 100, 1, 1, 1, 1, 1],
        [400, 1],
        [3] * 100 + [50],
    ],
)
def test_disconnected_parts(sizes):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    neighbors = torch.from_numpy(labels[:, None] == labels[None])
    found = assert_same_cut(neighbors)
    for label in range(len(sizes)):  # a part is never cut
        values = found.eigenvector[torch.from_numpy(labels == label)]
        assert float(values.max() - values.min()) < 1e-8 * float(found.eigenvector.abs().max())


def test_long_chain_needs_many_steps_and_gets_them():
    places = torch.arange(400)
    neighbors = (places[:, None] - places[None]).abs() <= 3
    found = assert_same_cut(neighbors)
    ahead = found.eigenvector > 0
    assert torch.equal(ahead, ahead.sort().values) or torch.equal(~ahead, (~ahead).sort().values)


def test_dense_graph_works_by_its_complement():
    features = cluster_features(random_labels(300, 2, seed=1), noise=0.4)
    neighbors = similar_patches(features + 2.0, 0.5)
    assert neighbors.float().mean() > 0.5
    assert_same_cut(neighbors)


@pytest.mark.parametrize("kind", ["all alike", "none alike", "no patch is like itself"])
def test_graphs_without_a_cut_give_some_vector(kind):
    neighbors = {
        "all alike": torch.ones(200, 200, dtype=torch.bool),
        "none alike": torch.eye(200, dtype=torch.bool),
        "no patch is like itself": torch.zeros(200, 200, dtype=torch.bool),
    }[kind]
    found = assert_same_cut(neighbors)
    assert found.eigenvector.isfinite().all()


def test_other_ways_to_compute_give_the_same(monkeypatch):
    neighbors = similar_patches(cluster_features(random_labels(300, 5, seed=2), 0.8), 0.3)
    expected = normalized_cut(neighbors)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    by_scipy = normalized_cut(neighbors)
    torch.testing.assert_close(by_scipy.eigenvector, expected.eigenvector, atol=1e-8, rtol=0)
    monkeypatch.setattr(sys.modules["trace_mm.ops.normalized_cut"], "_MOST_STEPS", 1)
    dense = normalized_cut(neighbors)
    assert dense.steps == 0 < expected.steps
    torch.testing.assert_close(dense.eigenvector, expected.eigenvector, atol=1e-5, rtol=0)


def test_same_result_each_time_and_with_any_number_of_threads():
    neighbors = similar_patches(cluster_features(random_labels(500, 5, seed=3), 0.8), 0.3)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 1, 2):
            torch.set_num_threads(threads)
            found.append(normalized_cut(neighbors).eigenvector)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    torch.testing.assert_close(found[0], found[2], atol=1e-12, rtol=1e-9)


def test_largest_entry_is_positive():
    for seed in range(5):
        features = cluster_features(random_labels(150, 3, seed), 0.5, seed)
        vector = normalized_cut(similar_patches(features, 0.4)).eigenvector
        assert vector[vector.abs().argmax()] > 0


def test_order_of_patches_does_not_matter():
    features = cluster_features(random_labels(300, 4, seed=4), 1.0)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    straight = normalized_cut(similar_patches(features, 0.2)).eigenvector
    shuffled = normalized_cut(similar_patches(features[order], 0.2)).eigenvector
    torch.testing.assert_close(shuffled, straight[order], atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("neighbors", "eps"),
    [
        (torch.ones(3, 4, dtype=torch.bool), EPS),
        (torch.ones(1, 1, dtype=torch.bool), EPS),
        (torch.ones(3, 3), EPS),
        (torch.ones(3, 3, dtype=torch.bool), 0.0),
        (torch.ones(3, 3, dtype=torch.bool), 1.0),
    ],
)
def test_bad_graphs_are_refused(neighbors, eps):
    with pytest.raises(ValueError, match=r"neighbors|eps"):
        normalized_cut(neighbors, eps)


@pytest.mark.parametrize(
    ("features", "threshold"),
    [
        (torch.ones(3), 0.2),
        (torch.ones(0, 3), 0.2),
        (torch.ones(3, 3), 1.0),
        (torch.full((3, 3), float("nan")), 0.2),
    ],
)
def test_bad_features_are_refused(features, threshold):
    with pytest.raises(ValueError, match=r"features|threshold"):
        similar_patches(features, threshold)
