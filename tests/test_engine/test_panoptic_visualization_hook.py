"""Pictures of panoptic maps as mmdet's models give them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from trace_mm.engine import PanopticVisualizationHook
from trace_mm.engine.panoptic_visualization_hook import split_panoptic
from trace_mm.registry import HOOKS

VALUES = [0, 1000, 2000, 1, 1001, 2, 3]  # of classes 0 and 1, things; 2, stuff; 3, void


@given(arrays(np.int32, (4, 5), elements=st.sampled_from(VALUES)))
def test_split(values):
    classes, ids = split_panoptic(values, num_classes=3)
    pixels = np.stack([values, classes, ids]).reshape(3, -1).T.tolist()
    for value, number, segment in pixels:
        assert number == (-1 if value == 3 else value % 1000)
        assert (segment == 0) == (value == 3)
    shown = {(value, segment) for value, _, segment in pixels if value != 3}
    assert len(shown) == len({value for value, _ in shown}) == len({s for _, s in shown})
    assert {s for _, s in shown} == set(range(1, len(shown) + 1))


@pytest.mark.parametrize("void", [False, True])
def test_a_picture_for_each_image(tmp_path, void):
    Image.new("RGB", (8, 6), (200, 10, 10)).save(tmp_path / "photo.jpeg")
    values = torch.full((1, 6, 8), 3 if void else 1000)
    sample = SimpleNamespace(
        img_path=str(tmp_path / "photo.jpeg"), pred_panoptic_seg=SimpleNamespace(sem_seg=values)
    )
    dataset = SimpleNamespace(metainfo={"classes": ("cat", "dog", "grass")})
    runner = SimpleNamespace(test_dataloader=SimpleNamespace(dataset=dataset))
    hook = HOOKS.build({"type": "PanopticVisualizationHook", "out_dir": str(tmp_path / "out")})
    assert isinstance(hook, PanopticVisualizationHook)
    hook.after_test_iter(runner, 0, outputs=[sample])
    picture = np.asarray(Image.open(tmp_path / "out" / "photo.png")).astype(int)
    assert picture.shape == (6, 3 * 8, 3)
    image, classes, segments = np.split(picture, 3, axis=1)
    assert (image[..., 0] > image[..., 1] + 100).all()
    is_grey = np.ptp(segments, axis=2).max() == 0
    assert is_grey == (np.ptp(classes, axis=2).max() == 0) == void
