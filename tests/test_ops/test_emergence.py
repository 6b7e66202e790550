"""The emergence point against a loop over Eq. 1 in float64."""

import itertools
import math
import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import trace_mm.ops.emergence as emergence_module
from trace_mm.ops import (
    DIVERGENCES,
    EmergencePoint,
    divergence,
    emergence_point,
    mean_row_divergence,
)


def _attention(seed, tokens=6, sharpness=2.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.softmax(sharpness * torch.randn(1, tokens, tokens, generator=generator), -1)


def _oracle(maps):
    """Eq. 1 with KL, entry by entry."""
    scores = {}
    for (_, previous), (timestep, current) in itertools.pairwise(maps):
        rows = zip(previous[0].tolist(), current[0].tolist(), strict=True)
        divergences = [
            sum(p * (math.log(p) - math.log(q)) for p, q in zip(row_p, row_q, strict=True))
            for row_p, row_q in rows
        ]
        scores[timestep] = sum(divergences) / len(divergences)
    return max(scores, key=scores.__getitem__), scores


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**30), steps=st.integers(2, 7), tokens=st.integers(2, 9))
def test_matches_the_oracle(seed, steps, tokens):
    maps = [(100 * k, _attention(seed + k, tokens)) for k in range(steps)]
    timestep, scores = _oracle(maps)
    found = emergence_point(iter(maps))
    assert found.timestep == timestep
    assert found.attention is dict(maps)[timestep]
    assert list(found.scores) == [100 * k for k in range(1, steps)]
    assert found.scores == pytest.approx(scores, rel=1e-5, abs=1e-8)


def test_finds_where_the_map_changes_most():
    blurred, sharp = _attention(0, sharpness=0.1), _attention(0, sharpness=3.0)
    maps = [
        (0, sharp),
        (100, 0.98 * sharp + 0.02 * blurred),
        (200, blurred),
        (300, 0.98 * blurred + 0.02 * sharp),
    ]
    found = emergence_point(maps)
    assert found.timestep == 200
    assert found.attention is blurred
    assert found.scores[200] == max(found.scores.values())


@pytest.mark.parametrize("kind", DIVERGENCES)
def test_the_previous_map_comes_first(kind):
    first, second = _attention(1), _attention(2)
    found = emergence_point([(0, first), (50, second)], kind)
    assert found.scores[50] == pytest.approx(
        divergence(first, second, kind).mean().item(), rel=1e-5
    )


def test_the_earliest_of_equal_scores_wins():
    a, b = _attention(3), _attention(4)
    found = emergence_point([(0, a), (1, b), (2, a), (3, b)], "js")
    assert found.scores[1] == found.scores[3]
    assert found.timestep == 1


def test_constant_attention_yields_the_first_scored_timestep():
    a = _attention(5)
    found = emergence_point([(0, a), (10, a.clone()), (20, a.clone())])
    assert found.timestep == 10
    assert found.scores == {10: 0.0, 20: 0.0}


def test_update_returns_the_score_and_results_are_snapshots():
    search = EmergencePoint()
    assert search.update(0, _attention(6)) is None
    score = search.update(100, _attention(7))
    early = search.result()
    assert early.scores == {100: score}
    search.update(200, _attention(8))
    assert list(early.scores) == [100]
    assert list(search.result().scores) == [100, 200]


def test_holds_only_the_previous_and_the_best_map():
    alive = []

    def maps():
        for k in range(8):
            attention = _attention(10 + k)
            alive.append(weakref.ref(attention))
            yield k, attention
            del attention
            assert sum(reference() is not None for reference in alive) <= 3

    found = emergence_point(maps())
    assert [reference() is not None for reference in alive].count(True) == 1
    assert found.attention is alive[found.timestep]()


@pytest.mark.parametrize("chunk", [1, 13, 10_000])
@pytest.mark.parametrize("kind", ["kl", "entropy"])
def test_chunks_do_not_change_the_score(kind, chunk, monkeypatch):
    previous, current = _attention(20, 17), _attention(21, 17)
    expected = divergence(previous, current, kind).double().mean().item()
    monkeypatch.setattr(emergence_module, "CHUNK_ELEMENTS", chunk)
    assert mean_row_divergence(previous, current, kind) == pytest.approx(expected, rel=1e-6)


def test_accepts_maps_without_batch_and_in_half_precision():
    first, second = _attention(22), _attention(23)
    expected = emergence_point([(0, first), (1, second)]).scores[1]
    plain = emergence_point([(0, first[0]), (1, second[0])])
    assert plain.scores[1] == pytest.approx(expected, rel=1e-6)
    assert plain.attention.shape == (6, 6)
    half = emergence_point([(0, first.bfloat16()), (1, second.bfloat16())])
    assert half.scores[1] == pytest.approx(expected, rel=0.05)


def test_zero_probabilities_are_finite():
    identity = torch.eye(4)[None]
    found = emergence_point([(0, identity), (1, identity.flip(-1))])
    assert math.isfinite(found.scores[1])


def _bad(value):
    attention = _attention(24).clone()
    attention[0, 1, 2] = value
    return attention


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ([], "at least two timesteps, got 0"),
        ([(0, _attention(0))], "at least two timesteps, got 1"),
        ([(100, _attention(0)), (100, _attention(1))], "must increase, got 100 after 100"),
        ([(100, _attention(0)), (0, _attention(1))], "must increase, got 0 after 100"),
        ([(0, _attention(0, 4)), (1, _attention(1, 9))], r"shape from \(1, 4, 4\) to \(1, 9, 9\)"),
        ([(0, _attention(0).expand(2, -1, -1))], r"one image must be .* got \(2, 6, 6\)"),
        ([(0, torch.rand(1, 4, 5))], r"one image must be .* got \(1, 4, 5\)"),
        ([(0, torch.rand(4))], "one image must be"),
        ([(0, torch.rand(1, 0, 0))], "one image must be"),
        ([(0, _attention(0)), (7, _bad(float("nan")))], "timestep 7 holds nan or infinite"),
        ([(3, _bad(float("inf"))), (7, _attention(0))], "timestep 3 holds nan or infinite"),
        ([(0, torch.ones(1, 2, 2, dtype=torch.long))], "must be floating point"),
    ],
)
def test_errors(maps, message):
    with pytest.raises(ValueError, match=message):
        emergence_point(maps)


def test_unknown_divergence_fails_before_the_first_map():
    with pytest.raises(ValueError, match="unknown divergence"):
        EmergencePoint("chi2")


def test_mean_row_divergence_refuses_different_shapes():
    with pytest.raises(ValueError, match="must have one shape"):
        mean_row_divergence(torch.rand(2, 3), torch.rand(3, 3))
