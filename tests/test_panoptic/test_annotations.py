"""Segments, instances and semantic map of one image agree."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trace_mm.files import decode_rle
from trace_mm.panoptic import PanopticClasses
from trace_mm.panoptic.annotations import class_map, segment_annotations

CLASSES = PanopticClasses.create(["cat", "dog"], ["background", "sky"])


@given(
    ids=hnp.arrays(
        np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 5)
    ),
    numbers=st.lists(st.integers(0, 3), min_size=5, max_size=5),
)
def test_the_three_formats_agree(ids, numbers):
    annotations = segment_annotations(ids, np.array(numbers), CLASSES)
    semantic = CLASSES.ids_of(class_map(ids, np.array(numbers)))
    by_id = {annotation["id"]: annotation for annotation in annotations}
    assert list(by_id) == sorted(set(ids.flat) - {0})
    for place, number in np.ndenumerate(ids):
        if number == 0:
            assert semantic[place] == 255
            continue
        annotation, index = by_id[number], numbers[number - 1]
        assert annotation["category_id"] == CLASSES.category_ids[index]
        assert semantic[place] == CLASSES.ids[index]
        assert ("segmentation" in annotation) == (index < 2)  # things
    for number, annotation in by_id.items():
        rows, columns = np.nonzero(ids == number)
        assert annotation["area"] == len(rows)
        left, top = columns.min(), rows.min()
        box = [left, top, columns.max() - left + 1, rows.max() - top + 1]
        assert annotation["bbox"] == box
        assert annotation["iscrowd"] == 0
        if "segmentation" in annotation:
            mask = decode_rle(annotation["segmentation"], ids.shape)
            np.testing.assert_array_equal(mask, ids == number)
