"""From a photo to its masks: what is made of edges, of features, and which are kept."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.drawn_photos import RECTANGLES, SIZE, write_photos
from trace_mm.files import load_image
from trace_mm.generators import find_masks, make_generator
from trace_mm.jobs.edge_sources import NamedImage, StoredEdges
from trace_mm.jobs.photo_masks import PhotoSegmenter, best_masks
from trace_mm.refinement import BoundaryGuidedPropagation
from trace_mm.refinement.boundary_guided_propagation import Refinement
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.segments import EdgeSegments


@pytest.fixture
def edges(tmp_path):
    write_photos(tmp_path)
    return StoredEdges(tmp_path / "maps")


@pytest.fixture
def photo(edges, tmp_path):
    return NamedImage("one.jpg", load_image(tmp_path / "images/one.jpg"))


def iou(mask, box):
    left, top, width, height = box
    other = np.zeros(SIZE, bool)
    other[top : top + height, left : left + width] = True
    return (mask & other).sum() / (mask | other).sum()


def test_what_edges_enclose_is_found(edges, photo):
    found = PhotoSegmenter(EdgeSegments(), edges)(photo)
    for box in RECTANGLES["one"]:
        assert max(iou(mask, box) for mask in found.instances.masks) > 0.8
    (stored,) = edges([photo])
    assert np.array_equal(found.edges, stored)
    assert (np.diff(found.instances.scores) <= 0).all()


class Halver(BoundaryGuidedPropagation):
    """Leaves the right half of each mask, and turns the order round."""

    def __call__(self, instances, edges):
        halves = instances.masks & (np.arange(SIZE[1]) >= SIZE[1] // 2)
        found = InstanceMasks(halves, instances.labels, 1 - instances.scores)
        return Refinement(found, tuple((number,) for number in range(len(found))), ())


def test_masks_are_refined_and_ranked_again(edges, photo):
    refiner = Halver()
    plain = PhotoSegmenter(EdgeSegments(number=5), edges, top=5)(photo)
    refined = PhotoSegmenter(EdgeSegments(number=5), edges, refiner, top=5)(photo)
    expected = best_masks(refiner(plain.instances, plain.edges).instances, 5, 0)
    assert np.array_equal(refined.instances.masks, expected.masks)
    assert not refined.instances.masks[:, :, :40].any() and refined.instances.masks.any()
    assert (np.diff(refined.instances.scores) <= 0).all()


def test_a_generators_masks_need_no_edges(photo):
    generator = make_generator("maskcut", "trace-tiny", features={"pool": 1, "cell": 1}, size=64)
    segmenter = PhotoSegmenter(generator, top=2)
    found = segmenter(photo)
    (reading,) = segmenter.read([photo])
    every = find_masks("maskcut", reading.features, generator.options, SIZE)
    assert found.edges is None and len(found.instances) == min(2, len(every)) > 0
    assert np.array_equal(found.instances.masks, every.masks[:2])
    assert segmenter.group(photo) == (56, 72)  # of the area of 64 x 64
    again = pickle.loads(pickle.dumps(segmenter))
    assert again._backbone is None and again.settings() == segmenter.settings()
    assert np.array_equal(again(photo).instances.masks, found.instances.masks)


def test_settings_hold_all_that_masks_depend_on(edges, flow_folder):
    generator = make_generator("tokencut", str(flow_folder))
    refiner = BoundaryGuidedPropagation()
    segmenters = [
        PhotoSegmenter(EdgeSegments(), edges),
        PhotoSegmenter(EdgeSegments(max_iou=0.7), edges),
        PhotoSegmenter(EdgeSegments(), edges, refiner),
        PhotoSegmenter(EdgeSegments(), edges, top=7),
        PhotoSegmenter(EdgeSegments(), edges, min_score=0.1),
        PhotoSegmenter(generator),
        PhotoSegmenter(generator, edges, refiner),
    ]
    described = [repr(segmenter.settings()) for segmenter in segmenters]
    assert len({*described}) == len(described)


@pytest.mark.parametrize(
    ("given_edges", "refiner", "options", "message"),
    [
        (False, None, {}, "edges are needed"),
        (True, None, {"top": 0}, "top must be at least 1"),
        (True, None, {"min_score": 1.5}, "least score"),
    ],
)
def test_bad_options(edges, given_edges, refiner, options, message):
    with pytest.raises(ValueError, match=message):
        PhotoSegmenter(EdgeSegments(), edges if given_edges else None, refiner, **options)


def test_edges_without_an_effect_are_refused(edges, flow_folder):
    with pytest.raises(ValueError, match="no effect"):
        PhotoSegmenter(make_generator("maskcut", str(flow_folder)), edges)


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans()), max_size=8),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.25, 0.6]),
)
def test_the_best_masks(scored, top, least):
    masks = np.array([[[filled, False]] for _, filled in scored], bool).reshape(-1, 1, 2)
    labels = np.arange(len(scored))
    found = InstanceMasks(masks, labels, np.array([score for score, _ in scored], float))
    kept = best_masks(found, top, least)
    left = [n for n, (score, filled) in enumerate(scored) if filled and score >= least]
    expected = []
    while left and len(expected) < top:  # one after another, by hand
        best = max(scored[n][0] for n in left)
        first = next(n for n in left if scored[n][0] == best)
        expected.append(first)
        left.remove(first)
    assert kept.labels.tolist() == expected
