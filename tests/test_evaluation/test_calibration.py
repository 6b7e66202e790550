import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mm.evaluation.calibration import (
    calibrated,
    edge_evidence,
    fit_calibration,
    reliability,
)


def loss_by_loops(groups, scale, offset):
    """The negative log-likelihood, the mean over groups of the mean over pixels, in float64."""
    total = 0.0
    for values, true in groups:
        for value, border in zip(values.tolist(), true.tolist(), strict=True):
            value = min(max(value, 1e-6), 1 - 1e-6)
            p = 1 / (1 + math.exp(-(scale * math.log(value / (1 - value)) + offset)))
            total -= math.log(p if border else 1 - p) / len(values)
    return total


def drawn(seed, count, scale, offset):
    """Edges whose probability of being a border is sigmoid(scale * logit + offset)."""
    generator = np.random.default_rng(seed)
    values = generator.uniform(0.02, 0.98, count)
    chance = 1 / (1 + np.exp(-(scale * np.log(values / (1 - values)) + offset)))
    return values.astype(np.float32), generator.random(count) < chance


@given(seed=st.integers(0, 99), scale=st.floats(0.3, 3), offset=st.floats(-1, 1))
def test_no_other_scale_and_offset_fit_better(seed, scale, offset):
    groups = [drawn(seed, 60, scale, offset), drawn(seed + 1000, 90, scale, offset)]
    try:
        found = fit_calibration(*zip(*groups, strict=True))
    except ValueError as error:
        assert "scale" in str(error)
        return
    best = loss_by_loops(groups, *found)
    for change in ((0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01)):
        assert best <= loss_by_loops(groups, found[0] + change[0], found[1] + change[1]) + 1e-6


def test_it_finds_what_edges_were_drawn_with_and_mends_them():
    values, true = drawn(0, 40000, 0.4, -0.5)
    scale, offset = fit_calibration([values], [true])
    assert scale == pytest.approx(0.4, abs=0.03) and offset == pytest.approx(-0.5, abs=0.05)
    mended = calibrated(values, scale, offset)
    one = float(values[0])
    said = 1 / (1 + math.exp(-(scale * math.log(one / (1 - one)) + offset)))
    assert mended[0] == pytest.approx(said, rel=1e-5) and calibrated(values * 0, 1, 3).max() == 0
    assert reliability(mended, true).error < 0.02 < reliability(values, true).error


def test_bins_by_hand():
    values = np.array([0.05, 0.08, 0.72, 0.78, 0.74, 1.0], np.float32)
    true = np.array([False, True, True, True, False, True])
    table = reliability(values, true)
    np.testing.assert_allclose(table.said, [0.065, (0.72 + 0.78 + 0.74) / 3, 1.0], rtol=1e-6)
    np.testing.assert_allclose(table.true, [1 / 2, 2 / 3, 1])
    assert table.counts.tolist() == [2, 3, 1]
    expected = (2 * abs(0.065 - 0.5) + 3 * abs(2.24 / 3 - 2 / 3) + 0) / 6
    assert table.error == pytest.approx(expected)


def test_evidence_is_the_crest_of_edges_near_true_ones():
    edges = np.zeros((60, 60), np.float32)
    edges[:, 19:22] = 0.4, 0.8, 0.4  # an edge three pixels wide, on a border
    edges[:, 40] = 0.6  # one where no border is
    targets = np.zeros((2, 60, 60), bool)
    targets[0, :, 20] = True  # by one annotator of two
    values, true = edge_evidence(edges, targets, tolerance=0.02)
    assert set(np.round(values[true], 3)) == {np.float32(0.8)}
    assert set(np.round(values[~true], 3)) == {np.float32(0.6)}
    none, border = edge_evidence(np.zeros((9, 9), np.float32), np.ones((1, 9, 9), bool))
    assert len(none) == len(border) == 0


def test_nonsense_is_refused():
    values = np.array([0.2, 0.9], np.float32)
    with pytest.raises(ValueError, match="no edge pixel"):
        fit_calibration([values[:0]], [values[:0] > 0])
    with pytest.raises(ValueError, match="all edge pixels are borders, or none"):
        fit_calibration([values], [values > 2])
    with pytest.raises(ValueError, match="no stronger edges"):
        worse = np.array([0.9, 0.1, 0.6, 0.4], np.float32)
        fit_calibration([worse], [np.array([False, True, True, False])])
    with pytest.raises(ValueError, match="no edge pixel"):
        reliability(values[:0], values[:0] > 0)
    with pytest.raises(ValueError, match="true edges are"):
        edge_evidence(np.zeros((4, 4), np.float32), np.zeros((1, 4, 5), bool))
