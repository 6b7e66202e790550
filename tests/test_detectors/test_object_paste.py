"""Copy-paste in a pipeline of MMDetection."""

import numpy as np
import pytest

pytest.importorskip("mmcv.ops", reason="mmcv or its operations are not installed")
pytest.importorskip("mmdet", reason="mmdet is not installed")
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from trace_mm.registry import TRANSFORMS


def sample(size, corners, color, ignored=()):
    """An image with squares of 6 pixels."""
    image = np.zeros((*size, 3), dtype=np.uint8)
    masks = np.zeros((len(corners), *size), dtype=np.uint8)
    for mask, (top, left) in zip(masks, corners, strict=True):
        mask[top : top + 6, left : left + 6] = 1
    image[masks.any(0).astype(bool)] = color
    bitmaps = BitmapMasks(masks, *size)
    return {
        "img": image,
        "gt_masks": bitmaps,
        "gt_bboxes": bitmaps.get_bboxes(HorizontalBoxes),
        "gt_bboxes_labels": np.zeros(len(corners), dtype=np.int64),
        "gt_ignore_flags": np.array([n in ignored for n in range(len(corners))]),
    }


def paste(target, source, seed=0, **settings):
    np.random.seed(seed)
    transform = TRANSFORMS.build({"type": "ObjectPaste", **settings})
    return transform({**target, "mix_results": [source]})


@pytest.fixture(scope="module", autouse=True)
def _registered():
    pytest.importorskip("trace_mm.detectors")


def test_an_object_of_an_image_of_another_size():
    target, source = sample((40, 50), [(2, 2)], 100), sample((24, 24), [(9, 9)], 200)
    for seed in range(10):
        found = paste(target, source, seed)
        masks = found["gt_masks"].masks.astype(bool)
        assert found["img"].shape == (40, 50, 3) and found["img"].dtype == np.uint8
        counts = {len(found[key]) for key in ("gt_bboxes", "gt_bboxes_labels", "gt_ignore_flags")}
        assert counts == {len(masks)} and len(masks) in (1, 2)
        if len(masks) == 2:
            pasted = masks[1]
            assert (found["img"][pasted].max(1) > 0).mean() > 0.7  # the rim is mixed with ground
            assert not (masks[0] & pasted).any()
            rows, columns = np.nonzero(pasted)
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert found["gt_bboxes"].tensor[1].tolist() == box
        unchanged = ~masks[1:].any(0)
        np.testing.assert_array_equal(found["img"][unchanged], target["img"][unchanged])


def test_fewer_than_all_of_several_objects():
    target = sample((40, 40), [], 0)
    source = sample((40, 40), [(0, 0), (12, 12), (24, 24)], 200)
    counts = {len(paste(target, source, seed)["gt_masks"]) for seed in range(30)}
    assert counts == {1, 2}


def test_regions_to_be_ignored_are_not_pasted():
    target = sample((40, 40), [(2, 2)], 100)
    source = sample((40, 40), [(20, 20), (30, 30)], 200, ignored=(0, 1))
    found = paste(target, source)
    np.testing.assert_array_equal(found["img"], target["img"])


def test_a_probability_of_zero_changes_nothing():
    target, source = sample((40, 40), [(2, 2)], 100), sample((40, 40), [(20, 20)], 200)
    assert len(paste(target, source, prob=0.0)["gt_masks"]) == 1


def test_the_same_seed_pastes_the_same():
    target, source = sample((40, 50), [(2, 2)], 100), sample((24, 24), [(9, 9)], 200)
    one, two = (paste(target, source, 5)["img"] for _ in range(2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("ratios", [(0.0, 1.0), (0.9, 0.5), (0.5, 1.5)])
def test_ratios_out_of_range(ratios):
    with pytest.raises(ValueError, match="ratios must rise"):
        TRANSFORMS.build({"type": "ObjectPaste", "ratios": ratios})
