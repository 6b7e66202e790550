"""PQ of each image, averaged, against loops written from the definition."""

import numpy as np
import pytest

from trace_mm.evaluation import SegmentCounts, evaluate_instances
from trace_mm.evaluation.panoptic_quality import mean_image_quality
from trace_mm.files.coco import instance_annotation

SIZE = (24, 32)


def random_ids(rng, count):
    """Numbers of rectangles, later ones in front, and none hidden."""
    ids = np.zeros(SIZE, dtype=int)
    for number in range(1, count + 1):
        top, left = rng.integers(0, 18), rng.integers(0, 24)
        ids[top : top + rng.integers(3, 9), left : left + rng.integers(3, 9)] = number
    return ids


def masks_of(ids):
    return [ids == number for number in np.unique(ids) if number]


def naive_quality(true, found):
    """PQ, SQ and RQ of two lists of masks that do not overlap."""
    pairs = [
        np.count_nonzero(one & other) / np.count_nonzero(one | other)
        for one in true
        for other in found
    ]
    matches = [iou for iou in pairs if iou > 0.5]
    sq = sum(matches) / len(matches) if matches else 0.0
    rq = len(matches) / ((len(true) + len(found)) / 2)
    return sq * rq, sq, rq


def records(images):
    """COCO of masks by image, those of the later images of lower scores."""
    annotations = [
        {**instance_annotation(mask), "image_id": key, "score": 0.9 - 0.01 * key}
        for key, masks in images.items()
        for mask in masks
    ]
    listed = [
        {"id": key, "height": SIZE[0], "width": SIZE[1], "file_name": f"{key}.png"}
        for key in images
    ]
    return {"images": listed, "annotations": annotations, "categories": []}


@pytest.mark.parametrize("seed", range(8))
def test_equals_loops_written_from_the_definition(seed):
    rng = np.random.default_rng(seed)
    true, found, expected = {}, {}, []
    for key in range(1, 6):
        ids = random_ids(rng, int(rng.integers(1, 6)))
        moved = np.roll(ids, rng.integers(-1, 2, 2), axis=(0, 1))
        moved[moved == 1] = 0
        true[key], found[key] = masks_of(ids), masks_of(np.where(ids > 2, ids, moved))
        expected.append(naive_quality(true[key], found[key]))
    quality = evaluate_instances(records(true), records(found), image_pq=True).image_quality
    np.testing.assert_allclose([quality.pq, quality.sq, quality.rq], np.mean(expected, axis=0))
    assert quality.images == 5


def test_each_image_counts_the_same_and_those_without_instances_do_not():
    """One image of two nuclei, both found, one of a single one that was missed, one empty."""
    ids = np.zeros(SIZE, dtype=int)
    ids[:5, :5], ids[10:15, 10:15] = 1, 2
    true = {1: masks_of(ids), 2: masks_of(ids)[:1], 3: []}
    found = {1: masks_of(ids), 2: [], 3: []}
    scores = evaluate_instances(records(true), records(found), image_pq=True)
    assert scores.to_dict()["image_PQ"] == 0.5
    assert scores.to_dict()["image_PQ_images"] == 2
    false = {1: masks_of(ids), 2: [], 3: masks_of(ids)}
    scores = evaluate_instances(records(true), records(false), image_pq=True)
    assert scores.image_quality.pq == pytest.approx(1 / 3)


def test_the_higher_score_is_in_front_and_what_it_hides_does_not_count():
    wide, left = np.zeros((2, *SIZE), dtype=bool)
    wide[2:8, 2:18], left[2:8, 2:10] = True, True
    true = records({1: [left, wide & ~left]})
    found = records({1: [left, wide]})  # of which the right half is left
    found["annotations"][0]["score"] = 0.95
    assert evaluate_instances(true, found, image_pq=True).image_quality.pq == 1
    found["annotations"][1]["score"] = 0.99
    quality = evaluate_instances(true, found, image_pq=True).image_quality
    assert quality.pq == 0  # an IoU of 1/2 is no match


def test_crowds_cost_nothing():
    crowd, one = np.zeros((2, *SIZE), dtype=bool)
    crowd[:12], one[15:20, 3:9] = True, True
    true = records({1: [crowd, one]})
    true["annotations"][0]["iscrowd"] = 1
    within = np.zeros(SIZE, dtype=bool)
    within[2:6, 2:6] = True
    found = records({1: [within, one]})
    assert evaluate_instances(true, found, image_pq=True).image_quality.pq == 1


def test_boxes_have_no_such_quality():
    with pytest.raises(ValueError, match="image_pq needs masks"):
        evaluate_instances(records({1: []}), [], iou_type="bbox", image_pq=True)


def test_chosen_categories_are_one_class():
    counts = [{1: SegmentCounts(0.8, 1, 0, 0), 2: SegmentCounts(0, 0, 1, 1)}, {3: SegmentCounts()}]
    quality = mean_image_quality(counts, {1, 2})
    assert (quality.pq, quality.rq, quality.images) == (0.8 / 2, 0.5, 1)
    assert mean_image_quality(counts, {7}) is None
