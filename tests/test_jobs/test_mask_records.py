"""Masks as annotations and back."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trace_mm.jobs.mask_records import annotations_of, instances_of, numbered_annotations
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.runs.records import Record


@given(arrays(bool, st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(1, 5))))
def test_masks_come_back(masks):
    scores = np.linspace(1, 0.5, len(masks))
    labels = np.arange(len(masks))
    annotations = annotations_of(InstanceMasks(masks, labels, scores))
    back = instances_of(annotations, masks.shape[1:])
    assert np.array_equal(back.masks, masks) and np.array_equal(back.labels, labels)
    assert np.allclose(back.scores, scores, atol=1e-6)


def test_masks_without_scores_have_1():
    found = InstanceMasks(np.ones((2, 3, 3), bool), np.ones(2, np.int64))
    assert [one["score"] for one in annotations_of(found)] == [1.0, 1.0]


def test_annotations_are_numbered_through_all_images():
    records = [
        (4, Record("a", result={"annotations": [{"area": 1}, {"area": 2}]})),
        (7, Record("b", result={"annotations": [{"area": 3}]})),
    ]
    found = [(one["id"], one["image_id"], one["area"]) for one in numbered_annotations(records)]
    assert found == [(1, 4, 1), (2, 4, 2), (3, 7, 3)]
