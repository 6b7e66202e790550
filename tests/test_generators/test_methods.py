"""MaskCut, TokenCut and ProMerge on features whose objects are known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mm.generators.maskcut import MaskCutSettings, maskcut
from trace_mm.generators.patch_masks import PatchMasks, connected_part, separation, two_sided
from trace_mm.generators.promerge import (
    ProMergeSettings,
    merge,
    promerge,
    prompt_masks,
    prune,
)
from trace_mm.generators.tokencut import TokenCutSettings, tokencut

METHODS = {"maskcut": maskcut, "tokencut": tokencut, "promerge": promerge}


def scene_features(boxes, grid=(24, 32), noise=0.1, seed=0):
    """Features (h, w, C) and labels (h, w): 0, and a number for each box (top, left, h, w)."""
    labels = torch.zeros(grid, dtype=torch.long)
    for number, (top, left, height, width) in enumerate(boxes, start=1):
        labels[top : top + height, left : left + width] = number
    generator = torch.Generator().manual_seed(seed)
    means = torch.nn.functional.normalize(torch.randn(len(boxes) + 1, 64, generator=generator))
    # With many channels, means are nearly orthogonal, so that any threshold of the papers fits.
    features = means[labels] + noise / 8 * torch.randn(*grid, 64, generator=generator)
    return features, labels.numpy()


def iou(first, second):
    return (first & second).sum() / max(1, (first | second).sum())


@pytest.mark.parametrize("method", METHODS)
def test_one_object_is_found_whole(method):
    features, labels = scene_features([(5, 12, 9, 7)])
    found = METHODS[method](features)
    assert found.soft.shape == (1, 24, 32) and found.soft.dtype == np.float32
    assert iou(found.soft[0] > 0, labels == 1) == 1.0
    assert 0 < found.scores[0] <= 1


def test_maskcut_finds_one_object_after_another():
    features, labels = scene_features([(2, 3, 7, 8), (13, 6, 6, 6), (8, 20, 9, 8)])
    found = maskcut(features)
    assert len(found.soft) == 3
    best = [max(iou(mask > 0, labels == number) for mask in found.soft) for number in (1, 2, 3)]
    assert best == [1.0, 1.0, 1.0]
    assert len(maskcut(features, MaskCutSettings(masks=1)).soft) == 1


def test_maskcut_stops_where_only_background_is_left():
    features, labels = scene_features([(2, 3, 7, 8)], noise=0.0)
    found = maskcut(features, MaskCutSettings(masks=5))
    assert iou(found.soft[0] > 0, labels == 1) == 1.0
    union = (found.soft > 0).sum(0)
    assert union.max() == 1  # no patch is in two masks


@pytest.mark.parametrize("method", [maskcut, tokencut])
@pytest.mark.parametrize("kind", ["alike", "unlike"])
def test_where_no_cut_is_better_than_another_there_is_no_mask(method, kind):
    features = torch.ones(4, 4, 16) if kind == "alike" else torch.eye(16).reshape(4, 4, 16)
    found = method(features)
    assert found.soft.shape == (0, 4, 4) and found.scores.shape == (0,)


def test_maskcut_stops_where_only_like_patches_are_left():
    features, _ = scene_features([(5, 12, 9, 7)], noise=0.0)
    assert len(maskcut(features).soft) == 1


def test_maskcut_takes_no_side_that_holds_three_corners():
    features, labels = scene_features([(0, 2, 22, 30)])
    frame = labels == 0  # two patches wide, along the left and the bottom
    assert iou(maskcut(features, MaskCutSettings(masks=1)).soft[0] > 0, ~frame) == 1.0
    # The eigenvector is largest on the smaller side, which is foreground without that rule.
    without = MaskCutSettings(masks=1, corners=5)
    assert iou(maskcut(features, without).soft[0] > 0, frame) == 1.0


def test_tokencut_keeps_the_main_part_only():
    features, labels = scene_features([(2, 3, 7, 8), (15, 20, 4, 4)])
    features[labels == 2] = features[labels == 1][: 4 * 4]  # alike, but apart
    found = tokencut(features, TokenCutSettings()).soft[0] > 0
    assert iou(found, labels == 1) == 1.0 or iou(found, labels == 2) == 1.0


def test_promerge_finds_all_objects_by_falling_area():
    boxes = [(2, 3, 9, 9), (14, 6, 6, 8), (8, 20, 8, 8)]
    features, labels = scene_features(boxes)
    found = promerge(features)
    for mask, number in zip(found.soft, (1, 3, 2), strict=True):
        assert iou(mask > 0, labels == number) == 1.0


def test_promerge_finds_nothing_without_background():
    features, _ = scene_features([(0, 0, 24, 11), (0, 11, 24, 10)])
    features[:, 21:] = torch.randn(24, 11, 64, generator=torch.Generator().manual_seed(5))
    chosen = ProMergeSettings(smallest_background=0.9)
    assert promerge(features, chosen).soft.shape == (0, 24, 32)
    assert promerge(features, chosen).at_size((48, 64)).shape == (0, 48, 64)


def test_prompt_masks_split_background_from_parts():
    features, labels = scene_features([(3, 3, 6, 6)])
    unit = torch.nn.functional.normalize(features, dim=2).flatten(0, 1)
    background, parts = prompt_masks(unit, (24, 32), ProMergeSettings())
    assert np.array_equal(background, labels == 0)
    assert len(parts) == 1 and np.array_equal(parts[0], labels == 1)


def test_prune_drops_what_lies_in_or_looks_like_the_background():
    features, labels = scene_features([(3, 3, 6, 6), (15, 20, 5, 5)])
    unit = torch.nn.functional.normalize(features, dim=2).flatten(0, 1)
    background = labels == 0
    inside_background = np.zeros_like(background)
    inside_background[10:13, 10:13] = True
    parts = [labels == 1, labels == 2, inside_background]
    kept = prune(parts, background, unit, ProMergeSettings())
    assert [mask.tobytes() for mask in kept] == [(labels == 2).tobytes(), (labels == 1).tobytes()]


def test_merge_joins_overlapping_and_similar_parts():
    features, _ = scene_features([(4, 4, 8, 12)])
    unit = torch.nn.functional.normalize(features, dim=2).flatten(0, 1)
    left, right, apart = (np.zeros((24, 32), dtype=bool) for _ in range(3))
    left[4:12, 4:12], right[4:12, 10:16], apart[20:22, 20:22] = True, True, True
    masks = merge([left, right, apart], unit, ProMergeSettings())  # they share a third
    assert sorted(mask.sum() for mask in masks) == [4, 96]
    strict = ProMergeSettings(merge_similarity=2.0)  # more than anything has
    assert sorted(mask.sum() for mask in merge([left, right, apart], unit, strict)) == [4, 48, 64]


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=15, deadline=None)
@given(
    height=st.integers(2, 12),
    width=st.integers(1, 12),
    kind=st.sampled_from(["noise", "equal", "zero", "few"]),
    seed=st.integers(0, 99),
)
def test_any_features_give_masks_of_their_grid(method, height, width, kind, seed):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(height, width, 6, generator=generator)
    if kind == "equal":
        features[:] = 1.0
    elif kind == "zero":
        features[:] = 0.0
    elif kind == "few":
        features = features[:1, :1] + (torch.rand(height, width, 1, generator=generator) > 0.7)
    found = METHODS[method](features)
    assert found.soft.shape[1:] == (height, width)
    assert len(found.scores) == len(found.soft)
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert (np.abs(found.soft) <= 1).all()
    assert (found.soft > 0).any((1, 2)).all() or method != "promerge"
    again = METHODS[method](features)
    assert np.array_equal(found.soft, again.soft) and np.array_equal(found.scores, again.scores)


@pytest.mark.parametrize("method", METHODS)
def test_bad_features_are_refused(method):
    for features in (torch.ones(4, 4), torch.ones(1, 1, 3), torch.full((4, 4, 2), float("nan"))):
        with pytest.raises(ValueError, match="features"):
            METHODS[method](features)


def test_masks_are_enlarged_to_any_size():
    features, _ = scene_features([(5, 12, 9, 7)])
    large = maskcut(features).at_size((24 * 5, 32 * 4))
    expected = np.zeros((24 * 5, 32 * 4), dtype=bool)
    expected[25:70, 48:76] = True
    assert large.shape == (1, 120, 128)
    assert iou(large[0], expected) > 0.9  # corners are rounded


def test_borders_fall_halfway_whatever_the_sides_of_a_cut_measure():
    mask = np.zeros((1, 8), dtype=bool)
    mask[:, :4] = True
    margin = np.where(mask, 9.0, -0.1)
    large = PatchMasks(two_sided(margin, mask)[None], np.ones(1)).at_size((4, 80))
    assert np.array_equal(large[0], np.broadcast_to(np.arange(80) < 40, (4, 80)))


def test_connected_part_is_that_of_the_seed():
    mask = np.array([[1, 1, 0, 1], [0, 0, 1, 1]], dtype=bool)
    assert connected_part(mask, (0, 0)).sum() == 2
    assert connected_part(mask, (1, 2)).sum() == 3  # corners do not connect
    assert connected_part(mask, (1, 0)).sum() == 0


def test_separation_is_larger_for_clearer_masks():
    features, labels = scene_features([(6, 10, 8, 8)])
    noisy, _ = scene_features([(6, 10, 8, 8)], noise=3.0)
    clear, blurred = (
        separation(torch.nn.functional.normalize(f, dim=2).flatten(0, 1), labels == 1)
        for f in (features, noisy)
    )
    assert 0 < blurred < clear <= 1
    unit = torch.nn.functional.normalize(features, dim=2).flatten(0, 1)
    assert separation(unit, labels >= 0) == 0.0
    assert separation(unit, labels == 0) < clear  # it holds the whole border
