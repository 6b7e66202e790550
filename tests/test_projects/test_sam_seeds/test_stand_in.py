"""The stand-in for SAM finds the region that a prompt means."""

import numpy as np
import pytest

from projects.sam_seeds.seeds import Prompts, boxes_of
from projects.sam_seeds.stand_in import TrueEdges, grow, true_regions
from trace_mm.files.panoptic import panoptic_png
from trace_mm.jobs.edge_sources import NamedImage

# Segment 1 is cut in two by segment 2; 3 is around; the last column is void.
IDS = np.array(
    [
        [3, 3, 3, 3, 3, 3, 3, 0],
        [3, 1, 1, 2, 2, 1, 3, 0],
        [3, 1, 1, 2, 2, 1, 3, 0],
        [3, 3, 3, 3, 3, 3, 3, 0],
    ],
    dtype=np.int32,
)
LEFT, MIDDLE, RIGHT = (slice(1, 3), slice(1, 3)), (slice(1, 3), slice(3, 5)), (slice(1, 3), 5)


def region(*places):
    mask = np.zeros(IDS.shape, bool)
    for place in places:
        mask[place] = True
    return mask


def test_regions_are_connected_parts_of_segments():
    regions = true_regions(IDS)
    assert len(np.unique(regions)) == 5 and (regions[:, 7] == 0).all()
    assert len({regions[1, 1], regions[1, 3], regions[1, 5], regions[0, 0]}) == 4


def one(prompts):
    answers = grow(true_regions(IDS), prompts)
    return answers.masks[0], answers.scores[0]


def test_a_point_grows_to_its_region():
    point = Prompts(points=np.array([[[5.0, 2]]]), labels=np.array([[1]]))
    mask, score = one(point)
    np.testing.assert_array_equal(mask, region(RIGHT))
    assert score == 1


def test_a_box_and_a_mask_mean_what_fills_them_best():
    rough = region((slice(1, 3), slice(2, 5)))  # two columns of the middle, one of the left
    mask, score = one(Prompts(boxes=boxes_of(rough[None])))
    np.testing.assert_array_equal(mask, region(MIDDLE))
    assert score == pytest.approx(4 / 6)
    np.testing.assert_array_equal(one(Prompts(masks=rough[None]))[0], region(MIDDLE))


def test_points_say_which_regions_are_in_question():
    whole = boxes_of(region((slice(1, 3), slice(1, 6)))[None])
    yes = Prompts(whole, np.array([[[5.0, 1]]]), np.array([[1]]))
    np.testing.assert_array_equal(one(yes)[0], region(RIGHT))
    no = Prompts(whole, np.array([[[1.0, 1], [3.0, 1]]]), np.array([[1, 0]]))
    np.testing.assert_array_equal(one(no)[0], region(LEFT))


def test_nothing_grows_in_void():
    mask, score = one(Prompts(points=np.array([[[7.0, 0]]]), labels=np.array([[1]])))
    assert not mask.any() and score == 0


def test_it_reads_the_truth_of_an_image(tmp_path):
    (tmp_path / "a.png").write_bytes(panoptic_png(IDS))
    prompts = Prompts(boxes=boxes_of(region(MIDDLE)[None]))
    pixels = np.zeros((*IDS.shape, 3), np.float32)
    answers = TrueEdges(tmp_path)(NamedImage("a.jpg", pixels), prompts)
    np.testing.assert_array_equal(answers.masks, region(MIDDLE)[None])
    with pytest.raises(ValueError, match=r"b\.jpg: .*b\.png"):
        TrueEdges(tmp_path)(NamedImage("b.jpg", pixels), prompts)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        TrueEdges(tmp_path / "none")
