"""Pictures of panoptic maps as mmdet's models give them."""

from types import SimpleNamespace
from typing import ClassVar

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


class Photos:
    """A dataset as mmdet's are."""

    metainfo: ClassVar = {"classes": ("cat", "dog", "grass")}

    def __init__(self, paths):
        self.paths = paths

    def __len__(self):
        return len(self.paths)

    def get_data_info(self, index):
        return {"img_path": self.paths[index]}


def draw(root, names, values):
    """Draw photos of a folder, of which each has the same panoptic map."""
    paths = [str(root / name) for name in names]
    loader = SimpleNamespace(dataset=Photos(paths))
    runner = SimpleNamespace(test_dataloader=loader, test_loop=SimpleNamespace(dataloader=loader))
    hook = HOOKS.build({"type": "PanopticVisualizationHook", "out_dir": str(root / "out")})
    assert isinstance(hook, PanopticVisualizationHook)
    hook.before_test(runner)
    for path in paths:
        prediction = SimpleNamespace(sem_seg=values)
        sample = SimpleNamespace(img_path=path, pred_panoptic_seg=prediction)
        hook.after_test_iter(runner, 0, outputs=[sample])


def test_images_of_one_name_have_a_picture_each(tmp_path):
    names = ["a/1.png", "a/1.jpg", "b/1.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 6)).save(tmp_path / name)
    draw(tmp_path, names, torch.full((1, 6, 8), 1000))
    drawn = {path.relative_to(tmp_path / "out").as_posix() for path in tmp_path.glob("out/*/*")}
    assert drawn == {"a/1.png.png", "a/1.jpg.png", "b/1.png"}


@pytest.mark.parametrize("void", [False, True])
def test_a_picture_for_each_image(tmp_path, void):
    Image.new("RGB", (8, 6), (200, 10, 10)).save(tmp_path / "photo.jpeg")
    draw(tmp_path, ["photo.jpeg"], torch.full((1, 6, 8), 3 if void else 1000))
    picture = np.asarray(Image.open(tmp_path / "out" / "photo.png")).astype(int)
    assert picture.shape == (6, 3 * 8, 3)
    image, classes, segments = np.split(picture, 3, axis=1)
    assert (image[..., 0] > image[..., 1] + 100).all()
    is_grey = np.ptp(segments, axis=2).max() == 0
    assert is_grey == (np.ptp(classes, axis=2).max() == 0) == void
