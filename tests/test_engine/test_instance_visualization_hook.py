"""Pictures of a detector's masks."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from trace_mm.engine import InstanceVisualizationHook
from trace_mm.registry import HOOKS

SIZE = (24, 32)


class Photos:
    """A dataset as mmdet's are."""

    def __init__(self, paths):
        self.paths = paths

    def __len__(self):
        return len(self.paths)

    def get_data_info(self, index):
        return {"img_path": self.paths[index]}


@pytest.fixture
def photo(tmp_path):
    (tmp_path / "photos").mkdir()
    path = tmp_path / "photos" / "one.jpg"
    Image.new("RGB", SIZE[::-1], (128, 128, 128)).save(path)
    return path


def draw(photo, masks, scores, **settings):
    """The picture of a photo with masks, float in [0, 1]."""
    out = photo.parents[1] / "out"
    hook = HOOKS.build({"type": "InstanceVisualizationHook", "out_dir": str(out), **settings})
    assert isinstance(hook, InstanceVisualizationHook)
    loader = SimpleNamespace(dataset=Photos([str(photo)]))
    hook.before_test(SimpleNamespace(test_loop=SimpleNamespace(dataloader=loader)))
    found = SimpleNamespace(masks=torch.from_numpy(masks), scores=torch.tensor(scores))
    hook.after_test_iter(
        None, 0, outputs=[SimpleNamespace(img_path=str(photo), pred_instances=found)]
    )
    return np.asarray(Image.open(out / "one.png")).astype(int)


def test_sure_masks_are_drawn_where_they_are(photo):
    masks = np.zeros((3, *SIZE), dtype=bool)
    masks[0, 2:10, 2:10], masks[1, 12:20, 2:10], masks[2, 2:10, 20:30] = True, True, True
    picture = draw(photo, masks, [0.9, 0.1, 0.5])
    grey = (abs(picture - 128) <= 2).all(2)
    assert not grey[masks[0]].any() and not grey[masks[2]].any()
    assert grey[13:19, 3:9].all()


def test_the_best_are_drawn(photo):
    masks = np.zeros((2, *SIZE), dtype=bool)
    masks[0, 2:10, 2:10], masks[1, 2:10, 20:30] = True, True
    picture = draw(photo, masks, [0.5, 0.9], top=1)
    assert (abs(picture[3:9, 3:9] - 128) <= 2).all()
    assert (abs(picture[3:9, 21:29] - 128) > 2).any(2).all()


def test_nothing_found_is_the_photo(photo):
    picture = draw(photo, np.zeros((0, *SIZE), dtype=bool), [])
    assert picture.shape == (*SIZE, 3) and (abs(picture - 128) <= 2).all()
