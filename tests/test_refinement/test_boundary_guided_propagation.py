import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mm.datasets import instance_borders
from trace_mm.refinement import BoundaryGuidedPropagation, InstanceMasks, outline_scores
from trace_mm.registry import TASK_UTILS

SIZE = (48, 64)


def disc(row, column, radius, size=SIZE):
    rows, columns = np.indices(size)
    return np.hypot(rows - row, columns - column) <= radius


def rectangle(top, bottom, left, right, size=SIZE):
    mask = np.zeros(size, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def borders(*masks):
    """True edges between masks, the later in front, and around them."""
    ids = np.zeros(masks[0].shape, dtype=int)
    for number, mask in enumerate(masks, start=1):
        ids[mask] = number
    return instance_borders(ids).astype(np.float32)


def instances(*masks, scores=None, labels=None):
    return InstanceMasks(
        np.stack(masks) if masks else np.zeros((0, *SIZE), dtype=bool),
        np.array(labels or [1] * len(masks), dtype=np.int64),
        None if scores is None else np.array(scores, dtype=np.float64),
    )


def iou(first, second):
    return (first & second).sum() / (first | second).sum()


def best_iou(mask, found):
    return max(iou(mask, other) for other in found)


@pytest.fixture
def neighbors():
    """Two rectangles, side by side."""
    return rectangle(10, 38, 8, 30), rectangle(10, 38, 30, 56)


def test_a_mask_of_two_neighbors_is_split(neighbors):
    merged = neighbors[0] | neighbors[1]

    refined = BoundaryGuidedPropagation()(instances(merged, scores=[0.7]), borders(*neighbors))

    assert len(refined.instances) == 2
    assert all(best_iou(mask, refined.instances.masks) > 0.98 for mask in neighbors)
    assert refined.sources == ((0,), (0,))
    assert refined.pieces == (2,)
    assert refined.instances.scores.tolist() == [0.7, 0.7]


def test_fragments_of_one_object_become_one():
    whole = disc(24, 30, 16)
    fragments = [whole & rectangle(0, 20, 0, 64), whole & rectangle(26, 48, 0, 64)]

    refine = BoundaryGuidedPropagation(min_gain=0.2)
    refined = refine(instances(*fragments, scores=[0.2, 0.6]), borders(whole))

    assert iou(whole, refined.instances.masks[0]) > 0.98
    assert len(refined.instances) == 1
    assert refined.sources == ((0, 1),)
    assert refined.instances.scores.tolist() == [0.6]


def test_fragments_of_different_labels_stay_apart():
    whole = disc(24, 30, 16)
    fragments = [whole & rectangle(0, 20, 0, 64), whole & rectangle(26, 48, 0, 64)]

    refined = BoundaryGuidedPropagation()(instances(*fragments, labels=[3, 8]), borders(whole))

    assert sorted(refined.instances.labels.tolist()) == [3, 8]


def inner_border(mask):
    inside = mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    edges = mask.copy()
    edges[1:-1, 1:-1] &= ~inside
    return edges.astype(np.float32)


@pytest.mark.parametrize("edges_of", [borders, inner_border])
@pytest.mark.parametrize(
    "mask", [disc(24, 30, 15), disc(20, 50, 9), rectangle(5, 40, 20, 45), rectangle(0, 30, 40, 64)]
)
def test_a_perfect_mask_with_perfect_edges_is_returned(mask, edges_of):
    refined = BoundaryGuidedPropagation()(instances(mask), edges_of(mask))

    assert len(refined.instances) == 1
    assert iou(mask, refined.instances.masks[0]) > 0.98


@pytest.mark.parametrize("size", [(192, 256), (300, 220)])
def test_it_works_on_a_smaller_grid_and_brings_masks_back(size):
    left = disc(size[0] / 2, 0.35 * size[1], 0.2 * size[1], size)
    right = disc(size[0] / 2, 0.7 * size[1], 0.2 * size[1], size) & ~left

    refined = BoundaryGuidedPropagation(resolution=100)(
        instances(left | right), borders(left, right)
    )

    assert refined.instances.size == size
    assert len(refined.instances) == 2
    assert best_iou(left, refined.instances.masks) > 0.96
    assert best_iou(right, refined.instances.masks) > 0.96


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_masks_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    masks = [disc(rng.uniform(5, 40), rng.uniform(5, 60), rng.uniform(3, 14)) for _ in range(5)]
    edges = borders(*masks[:3])
    scores = rng.random(5)
    order = rng.permutation(5)
    refine = BoundaryGuidedPropagation(resolution=40, steps=64)

    first = refine(instances(*masks, scores=scores), edges)
    second = refine(instances(*(masks[i] for i in order), scores=scores[order]), edges)

    np.testing.assert_array_equal(first.instances.masks, second.instances.masks)
    np.testing.assert_array_equal(first.instances.scores, second.instances.scores)


def test_a_part_that_is_all_edges_is_kept(neighbors):
    """Such as an object with a strong texture, which edges cut to crumbs."""
    plain, textured = neighbors
    edges = np.maximum(borders(*neighbors), textured.astype(np.float32))

    kept = BoundaryGuidedPropagation()(instances(plain | textured), edges)
    refined = BoundaryGuidedPropagation(min_gain=0)(instances(plain | textured), edges)

    assert kept.pieces == (0,)
    assert best_iou(plain, refined.instances.masks) > 0.9
    assert best_iou(textured, refined.instances.masks) > 0.9


def test_what_is_too_small_for_the_grid_or_lies_on_an_edge_is_kept_as_it_was():
    speck = rectangle(20, 21, 30, 31)
    line = rectangle(5, 6, 3, 60)

    refined = BoundaryGuidedPropagation(resolution=16)(
        instances(speck, line, scores=[0.9, 0.8]), line.astype(np.float32)
    )

    np.testing.assert_array_equal(refined.instances.masks, [speck, line])
    assert refined.pieces == (0, 0)


@st.composite
def boxes(draw):
    """Up to four boxes anywhere in an image of some size, bool (K, H, W)."""
    size = draw(st.sampled_from([(128, 128), (40, 150), (300, 200)]))
    masks = np.zeros((draw(st.integers(0, 4)), *size), dtype=bool)
    for mask in masks:
        top, left = (draw(st.integers(0, length - 1)) for length in size)
        mask[top : top + draw(st.integers(1, 300)), left : left + draw(st.integers(1, 300))] = True
        mask[:: draw(st.integers(20, 60))] = False  # also in several parts
        mask[top, left] = True
    return masks


@settings(max_examples=60, deadline=None)
@given(boxes(), st.sampled_from([0.0, 0.1, 0.2]), st.booleans())
def test_without_edges_above_the_threshold_masks_are_as_they_were(masks, strength, split_parts):
    """Wherever they lie, and whether or not they overlap."""
    scores = np.linspace(0.9, 0.1, len(masks))
    source = InstanceMasks(masks, np.ones(len(masks), dtype=np.int64), scores)
    edges = np.full(masks.shape[1:], strength, dtype=np.float32)

    refined = BoundaryGuidedPropagation(split_parts=split_parts, steps=64)(source, edges)

    np.testing.assert_array_equal(refined.instances.masks, masks)
    np.testing.assert_array_equal(refined.instances.scores, scores)
    assert refined.sources == tuple((index,) for index in range(len(masks)))


@pytest.mark.parametrize("corner", [(10, 10), (0, 0), (88, 88), (10, 88), (0, 60), (49, 49)])
def test_edges_elsewhere_do_not_change_a_mask(corner):
    """Not in a corner either, where a walk that nothing holds back piles up."""
    mask = rectangle(corner[0], corner[0] + 30, corner[1], corner[1] + 30, (128, 128))
    far = rectangle(44, 46, 0, 12, (128, 128)) | rectangle(120, 122, 60, 75, (128, 128))

    refined = BoundaryGuidedPropagation()(instances(mask), (far & ~mask).astype(np.float32))

    np.testing.assert_array_equal(refined.instances.masks, [mask])


def test_masks_without_scores_have_all_the_same(neighbors):
    refined = BoundaryGuidedPropagation()(instances(*neighbors), borders(neighbors[0])).instances

    assert refined.scores.tolist() == [1, 1]


def test_scores_by_the_edges_whatever_the_source_has(neighbors):
    edges = borders(neighbors[0])
    source = instances(*neighbors, scores=[0.2, 0.8])

    refined = BoundaryGuidedPropagation(scores="outline")(source, edges).instances
    constant = BoundaryGuidedPropagation(scores="constant")(source, edges).instances

    np.testing.assert_allclose(refined.scores, outline_scores(refined.masks, edges))
    assert iou(refined.masks[0], neighbors[0]) > 0.98
    assert refined.scores[0] > refined.scores[1]
    assert constant.scores.tolist() == [1, 1]
    assert constant.masks[0].sum() >= constant.masks[1].sum()


def test_no_masks_are_no_error():
    refined = BoundaryGuidedPropagation()(instances(), np.zeros(SIZE, dtype=np.float32))

    assert len(refined.instances) == 0
    assert refined.instances.size == SIZE


def test_parts_that_are_apart_are_split_only_if_asked_for():
    both = disc(24, 15, 8) | disc(24, 48, 8)
    edges = borders(disc(24, 15, 8), disc(24, 48, 8))

    assert len(BoundaryGuidedPropagation()(instances(both), edges).instances) == 1
    split = BoundaryGuidedPropagation(split_parts=True)(instances(both), edges)
    assert len(split.instances) == 2


def test_it_is_built_from_a_config():
    refiner = TASK_UTILS.build({"type": "BoundaryGuidedPropagation", "steps": 64})

    assert refiner.settings()["steps"] == 64
    assert refiner.settings()["beta"] == 10


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", 1.0),
        ("merge_iou", -0.1),
        ("level", 0),
        ("radius", 0),
        ("resolution", 4),
        ("min_fragment", 0.1),
    ],
)
def test_numbers_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be in"):
        BoundaryGuidedPropagation(**{name: value})


def test_settings_make_the_same_again():
    refiner = BoundaryGuidedPropagation(beta=4, scores="outline", split_parts=True)

    assert BoundaryGuidedPropagation(**refiner.settings()).settings() == refiner.settings()


def test_unknown_scores_are_refused():
    with pytest.raises(ValueError, match="scores must be one of source, constant, outline"):
        BoundaryGuidedPropagation(scores="outlines")


def test_edges_of_another_size_are_refused():
    with pytest.raises(ValueError, match="not of one size"):
        BoundaryGuidedPropagation()(instances(disc(9, 9, 3)), np.zeros((4, 4), dtype=np.float32))


def test_a_mask_whose_outline_has_edges_is_kept_where_edges_leak():
    """Its neighbour's outline is as good, and there is a gap between the two."""
    left, right = rectangle(10, 38, 8, 32), rectangle(10, 38, 32, 56)
    edges = borders(left, right)
    edges[18:30, 29:35] = 0

    refined = BoundaryGuidedPropagation()(instances(left, right), edges)

    assert best_iou(left, refined.instances.masks) == 1
    assert best_iou(right, refined.instances.masks) == 1
    assert refined.pieces == (0, 0)


def test_a_line_cuts_a_mask_only_if_it_is_strong_along_its_length():
    left, right = rectangle(10, 38, 8, 32), rectangle(10, 38, 32, 56)

    def count(strength, **settings):
        edges = borders(left, right)
        edges[10:38, 31:33] *= strength
        refine = BoundaryGuidedPropagation(**settings)
        return len(refine(instances(left | right), edges).instances)

    assert count(0.6) == count(0.95, preset="scenes") == 2
    assert count(0.45) == count(0.8, preset="scenes") == 1
    assert count(0.45, min_border=0.4) == 2
