"""Which masks of a round of self-training are kept, against a loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trace_mm.ops import merged_labels

UNIT = st.sampled_from([0.0, 0.3, 0.5, 0.7, 0.8, 1.0])


def naive(scores, overlaps, min_score, max_overlap):
    predicted = [score >= min_score for score in scores]
    old = []
    for label in range(overlaps.shape[1]):
        seen = [overlaps[p, label] for p, keep in enumerate(predicted) if keep]
        old.append(not any(overlap >= max_overlap for overlap in seen))
    return predicted, old


@given(
    case=st.tuples(st.integers(0, 4), st.integers(0, 4)).flatmap(
        lambda shape: st.tuples(
            arrays(np.float64, shape[0], elements=UNIT), arrays(np.float64, shape, elements=UNIT)
        )
    )
)
def test_it_is_as_the_loop_says(case):
    scores, overlaps = case
    predicted, old = merged_labels(scores, overlaps, 0.7, 0.5)
    assert (predicted.tolist(), old.tolist()) == naive(scores, overlaps, 0.7, 0.5)


def test_what_is_not_sure_replaces_nothing():
    predicted, old = merged_labels(np.array([0.9, 0.2]), np.array([[0.6, 0.1], [0.1, 0.9]]))
    assert predicted.tolist() == [True, False]
    assert old.tolist() == [False, True]


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="do not fit"):
        merged_labels(np.ones(2), np.ones((3, 1)))
