import numpy as np
import pytest
import torch
from PIL import Image

from trace_mm.ops import propagate_masks
from trace_mm.refinement import ScorePropagation
from trace_mm.refinement.score_maps import read_scores

SIZE = (24, 36)


def halves(column=17):
    """Edges (H, W) along a column, and the classes 1 and 2 on its sides."""
    edges = np.zeros(SIZE, np.float32)
    edges[:, column] = 1
    classes = np.where(np.arange(SIZE[1]) <= column, 1, 2)
    return edges, np.broadcast_to(classes, SIZE).astype(np.int32)


def coarse_scores(classes, noise, seed=0):
    """Scores (3, 6, 9) of the classes 0 to 2, blurred by the grid, and wrong at some tokens."""
    rng = np.random.default_rng(seed)
    planes = (classes == np.arange(3)[:, None, None]).astype(np.float32)
    tokens = planes.reshape(3, 6, 4, 9, 4).mean((2, 4))
    return (tokens + rng.normal(0, noise, tokens.shape)).astype(np.float32)


def test_coarse_noisy_scores_become_the_classes_that_edges_part():
    edges, classes = halves()
    scores = coarse_scores(classes, noise=0.7)
    refiner = ScorePropagation()
    before, after = refiner(scores, SIZE), refiner(scores, SIZE, edges)
    assert (before == classes).mean() < 0.9
    assert (after == classes).mean() > 0.97
    assert after.dtype == np.int32


def test_without_edges_the_best_score_counts():
    scores = np.random.default_rng(0).normal(size=(4, *SIZE)).astype(np.float32)
    assert (ScorePropagation()(scores, SIZE) == scores.argmax(0)).all()


def test_a_walk_of_no_steps_changes_nothing_off_the_edges():
    edges, classes = halves()
    scores = coarse_scores(classes, noise=0.3)
    refiner = ScorePropagation(steps=0, threshold=1)
    assert (refiner(scores, SIZE, edges) == refiner(scores, SIZE)).all()


def test_the_papers_preset_is_equation_11_of_each_class():
    rng = np.random.default_rng(1)
    edges = rng.random(SIZE).astype(np.float32) ** 3
    scores = rng.random((3, *SIZE)).astype(np.float32)
    walked = propagate_masks(torch.from_numpy(scores), torch.from_numpy(edges), exact=True)
    best_two = walked.sort(0).values[1:]
    clear = (best_two[1] - best_two[0] > 1e-3).numpy()  # else rounding decides
    found = ScorePropagation("paper")(scores, SIZE, edges)
    assert clear.mean() > 0.5
    assert (found == walked.argmax(0).numpy())[clear].all()


def test_scores_below_the_threshold_are_background():
    edges, classes = halves()
    scores = np.stack([classes == 1, np.zeros(SIZE)]).astype(np.float32)
    found = ScorePropagation(background=0.5)(scores, SIZE, edges)
    assert (found[:, :17] == 1).all()
    assert (found[:, 18:] == 0).all()  # no class is sure there
    assert (ScorePropagation(background=-1)(scores, SIZE, edges) > 0).all()


def test_classes_keep_their_numbers_where_others_are_nowhere_the_best():
    edges, classes = halves()
    planes = (classes == np.array([9, 9, 9, 1, 9, 2])[:, None, None]).astype(np.float32)
    found = ScorePropagation()(planes, SIZE, edges)
    assert np.unique(found).tolist() == [3, 5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "photos"}, "preset must be one of nearest, paper"),
        ({"radius": 0}, "radius must be in"),
        ({"threshold": 2}, "threshold must be in"),
        ({"background": float("nan")}, "background must be in"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ScorePropagation(**options)


def test_what_does_not_fit_is_refused():
    refiner = ScorePropagation()
    with pytest.raises(ValueError, match="edges"):
        refiner(np.zeros((2, 3, 3), np.float32), SIZE, np.zeros((3, 3), np.float32))
    with pytest.raises(ValueError, match="finite"):
        refiner(np.full((2, 3, 3), np.inf, np.float32), SIZE)
    with pytest.raises(ValueError, match=r"\(C, h, w\)"):
        refiner(np.zeros((3, 3), np.float32), SIZE)


def test_scores_are_read_from_arrays_of_any_resolution(tmp_path):
    scores = np.random.default_rng(0).normal(size=(3, 6, 9))
    np.savez_compressed(tmp_path / "one.npz", anything=scores.astype(np.float16))
    np.savez(tmp_path / "many.npz", scores=scores, names=np.array(["a", "b", "c"]))
    np.save(tmp_path / "plain.npy", scores)
    for name, tolerance in (("one.npz", 1e-2), ("many.npz", 0), ("plain.npy", 0)):
        found = read_scores(tmp_path / name, SIZE)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, scores.astype(np.float32), atol=tolerance)


def test_a_png_of_class_ids_scores_each_pixels_class(tmp_path):
    ids = np.zeros(SIZE, np.uint8)
    ids[:, 5:], ids[0] = 2, 255
    Image.fromarray(ids).save(tmp_path / "a.png")
    found = read_scores(tmp_path / "a.png", SIZE)
    assert found.shape == (3, *SIZE)
    assert (found[:, 0] == 0).all()  # void says nothing
    assert (found[:, 1:].argmax(0) == ids[1:]).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": np.zeros((2, 6, 9)), "b": np.zeros(1)}, "none is called 'scores'"),
        ({"a": np.zeros((6, 9))}, r"must hold scores \(C, h, w\)"),
        ({"a": np.zeros((2, 6, 9), int)}, "must be floats"),
        ({"a": np.zeros((2, 9, 6))}, "have not the shape of"),
        ({"a": np.full((2, 6, 9), np.nan)}, "must be finite"),
        (b"PK not a zip", "not a readable array of scores"),
    ],
)
def test_what_is_no_score_map_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "bad.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.savez(path, **content)
    with pytest.raises(ValueError, match=rf"bad\.npz: .*{message}"):
        read_scores(path, SIZE)
