"""Every count equals that of the plain way, which shares nothing between thresholds."""

from dataclasses import fields
from pathlib import Path

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from tools.benchmark import edge_metric_reference
from trace_mm.evaluation import CountingSettings, ImageCounts, count_edges
from trace_mm.files.edge_maps import EdgeMaps
from trace_mm.registry import DATASETS

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def check(edges, targets, counting):
    """All fields are equal, and of one type and shape."""
    actual = count_edges(edges, targets, counting)
    expected = edge_metric_reference.count_edges(edges, targets, counting)
    for field in fields(ImageCounts):
        one, other = getattr(actual, field.name), getattr(expected, field.name)
        assert type(one) is type(other), field.name
        np.testing.assert_array_equal(one, other, err_msg=field.name, strict=True)


@st.composite
def counting_settings(draw):
    tolerances = st.sampled_from([0.0, 0.0075, 0.05, 0.11, 0.3])
    return CountingSettings(
        tolerances=tuple(draw(st.lists(tolerances, min_size=1, max_size=2))),
        thresholds=draw(st.sampled_from([1, 2, 9, 64, 70, 140])),
        smooth=draw(st.integers(0, 2)),
        border=draw(st.integers(0, 5)),
        suppress=draw(st.booleans()),
    )


@st.composite
def any_maps(draw):
    """Edges with many equal values, and 1 to 3 annotators."""
    shape = (draw(st.integers(1, 14)), draw(st.integers(1, 14)))
    values = st.sampled_from([0.0, 0.01, 0.1, 0.3, 0.5, 0.500001, 0.9, 1.0])
    edges = draw(arrays.arrays(np.float32, shape, elements=values))
    return edges, draw(arrays.arrays(np.bool_, (draw(st.integers(1, 3)), *shape)))


@given(any_maps(), counting_settings())
@settings(max_examples=150, deadline=None)
def test_counts_of_any_maps(maps, counting):
    check(*maps, counting)


def noisy_lines(seed, annotators):
    """Maps that look like edges: wandering lines, seen through noise and blur."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(30, 70, 2))
    ids = np.digitize(ndimage.gaussian_filter(rng.random(shape), 5), [0.45, 0.5, 0.55])
    border = (ids != np.roll(ids, 1, 0)) | (ids != np.roll(ids, 1, 1))
    targets = np.stack([np.roll(border, shift, axis=1) for shift in range(annotators)])
    edges = ndimage.gaussian_filter(border + 0.5 * rng.random(shape), rng.uniform(0.5, 2))
    return (edges / edges.max()).astype(np.float32), targets


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), counting_settings())
@settings(max_examples=15, deadline=None)
def test_counts_of_noisy_lines(seed, annotators, counting):
    check(*noisy_lines(seed, annotators), counting)


@pytest.mark.parametrize("pairs", [1, 500, 2000])
def test_thresholds_are_matched_in_batches(monkeypatch, pairs):
    """With several annotators; a batch of one, and of some."""
    monkeypatch.setattr("trace_mm.evaluation.edge_counts._PAIRS_PER_BATCH", pairs)
    check(*noisy_lines(pairs, 2), CountingSettings(tolerances=(0.03,), thresholds=30))


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (1, 1), (20, 20)])
@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("annotators", [1, 2])
def test_counts_of_flat_maps(shape, value, annotators):
    edges, targets = np.full(shape, value), np.zeros((annotators, *shape), dtype=bool)
    check(edges, targets, CountingSettings())
    check(edges, ~targets, CountingSettings(suppress=False))


@pytest.mark.skipif(not (DATA / "edges_pidinet").is_dir(), reason="needs ../shared/data")
def test_counts_of_a_photo():
    dataset = DATASETS.build(
        {
            "type": "InstanceEdgeDataset",
            "annotation": "coco_instances",
            "data_root": str(DATA / "coco_photos"),
            "ann_file": "instances.json",
            "indices": 1,
        }
    )
    maps = EdgeMaps(DATA / "edges_pidinet")
    sample = dataset[0]["data_samples"]
    edges = maps.read(Path(sample.img_path).name, sample.ori_shape)
    check(edges, sample.gt_edges, CountingSettings())
