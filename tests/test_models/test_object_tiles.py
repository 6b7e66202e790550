"""Tiles for the smallest object: by the numbers, and as models read them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.test_ops.test_object_scale import discs
from tests.tiny_students import build, images_of
from trace_mm.models import TraceTeacher
from trace_mm.models.object_tiles import (
    LEAST_TOKENS,
    SMALLEST_SHARE,
    tiles_for_image,
    tiles_for_objects,
)
from trace_mm.ops import usual_object_size


def test_an_object_of_nuclei_size_on_the_shipped_model():
    """256 pixels are 64 tokens of 4 pixels: 10.7 objects of 6 tokens lie side by side."""
    found = tiles_for_objects(12, size=256, token=4)
    assert (found.tile, found.enlargement, found.tokens) == (128, 2.0, 6.0)


@given(st.floats(1, 500), st.sampled_from([64, 256, 512, 1024]), st.sampled_from([4, 8, 16]))
def test_tiles_are_the_largest_in_which_objects_cover_enough(pixels, size, token):
    try:
        found = tiles_for_objects(pixels, size, token)
    except ValueError:
        assert pixels * size / (LEAST_TOKENS * token) < 16
        return
    assert found.tokens == pytest.approx(pixels / token * size / found.tile)
    assert found.tokens >= LEAST_TOKENS
    assert pixels / token * size / (found.tile + 1) < LEAST_TOKENS
    assert found.enlargement == size / found.tile


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf")])
def test_sizes_that_are_none(wrong):
    with pytest.raises(ValueError, match="must be positive"):
        tiles_for_objects(wrong, 256, 4)


def test_objects_that_are_too_small_are_refused_with_what_would_do():
    with pytest.raises(ValueError, match=r"too small for this model: at 256 pixels it takes 1\.5"):
        tiles_for_objects(1, 256, 4)


def test_models_read_such_tiles(flow_folder, capsys):
    """The tiny model sees 16 x 16 pixels; what its tokens are decides the tiles."""
    student = build(flow_folder, size=64)
    token = student.backbone.token
    pixels = 16 * LEAST_TOKENS * token / 64
    image = images_of(1, (16, 40))[0]
    tiled = build(flow_folder, size=64, tile=16).predict([image])[0].pred_edges
    found = build(flow_folder, size=64, object_size=pixels)
    assert found.tile == 16
    torch.testing.assert_close(found.predict([image])[0].pred_edges, tiled)
    assert "read in tiles of 16 pixels, each shown at 64 x 64" in capsys.readouterr().err
    limited = build(flow_folder, size=64, max_enlargement=2, object_size=pixels)
    torch.testing.assert_close(limited.predict([image])[0].pred_edges, tiled)
    source = {"pretrained": str(flow_folder)}
    teacher = TraceTeacher(source, timestep=100, size=64, object_size=pixels)
    plain = TraceTeacher(source, timestep=100, size=64, tile=16)
    both = [model.predict([image])[0].pred_edges for model in (teacher, plain)]
    torch.testing.assert_close(*both)


def test_tiles_and_objects_are_not_both_given(flow_folder):
    with pytest.raises(ValueError, match=r"object_size chooses the tiles: tile=16 \(--tile\)"):
        build(flow_folder, size=64, tile=16, object_size=10)


def test_tiles_are_found_for_what_an_image_has_many_of():
    image = discs(256, 20, 40)
    usual = usual_object_size(image)
    assert tiles_for_image(image, 256, 4) == tiles_for_objects(usual * SMALLEST_SHARE, 256, 4)
    assert tiles_for_image(torch.full((3, 256, 256), 0.5), 256, 4) is None


def test_what_is_too_small_for_the_model_is_read_in_the_smallest_tiles():
    assert tiles_for_image(discs(128, 12, 24), size=32, token=4).tile == 16


def auto_and_given(kind, folder, image):
    """Edges of a model that finds the size by itself, and of one that is given what it finds."""
    given = usual_object_size(image) * SMALLEST_SHARE
    if kind == "teacher":
        models = [
            TraceTeacher({"pretrained": str(folder)}, timestep=100, size=32, object_size=size)
            for size in ("auto", given)
        ]
    else:
        models = [
            build(folder, size=32, max_enlargement=1.5, object_size=size)
            for size in ("auto", given)
        ]
    return [model.predict([image])[0].pred_edges for model in models]


@pytest.mark.parametrize("kind", ["student", "teacher"])
def test_models_find_the_size_in_each_image(kind, flow_folder, capsys):
    image = discs(96, 14, 24)[:, :72]
    found, given = auto_and_given(kind, flow_folder, image)
    torch.testing.assert_close(found, given, rtol=0, atol=0)
    assert "many objects are of one size" in capsys.readouterr().err


def test_images_without_a_usual_size_are_read_as_they_are(flow_folder):
    image = images_of(1, (64, 40))[0]
    assert usual_object_size(image) is None
    options = {"size": 32, "max_enlargement": 1.5}
    found = build(flow_folder, object_size="auto", **options).predict([image, discs(96, 12, 24)])
    plain = build(flow_folder, **options).predict([image, discs(96, 12, 24)])
    torch.testing.assert_close(found[0].pred_edges, plain[0].pred_edges, rtol=0, atol=0)
    assert not torch.equal(found[1].pred_edges, plain[1].pred_edges)


def test_another_word_than_auto(flow_folder):
    with pytest.raises(ValueError, match="must be a number of pixels or 'auto', got 'small'"):
        build(flow_folder, size=64, object_size="small")
