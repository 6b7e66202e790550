"""What hooks share that write a picture of each image of a test."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from trace_mm.engine import InstanceVisualizationHook, PanopticVisualizationHook
from trace_mm.engine.picture_hook import PictureHook


class Grey(PictureHook):
    """Draws what it is given."""

    def draw(self, sample):
        return sample.pixels


class Photos(list):
    """A dataset as mmdet's are, of paths."""

    def get_data_info(self, index):
        return {"img_path": self[index]}


def hook_of(folder, paths):
    hook = Grey(str(folder / "out"))
    loader = SimpleNamespace(dataset=Photos(paths))
    hook.before_test(SimpleNamespace(test_loop=SimpleNamespace(dataloader=loader)))
    return hook


def sample_of(path, pixels):
    return SimpleNamespace(img_path=path, pixels=pixels)


def test_pictures_are_written_in_their_colours_and_named_like_images(tmp_path):
    hook = hook_of(tmp_path, ["/photos/a/1.jpg", "/photos/b/1.jpg"])
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    hook.after_test_iter(None, 0, outputs=[sample_of("/photos/a/1.jpg", pixels)])
    hook.after_test_iter(None, 1, outputs=[sample_of("/photos/b/1.jpg", pixels[::-1])])
    hook.after_test_iter(None, 2, outputs=None)
    assert (np.asarray(Image.open(tmp_path / "out/a/1.png")) == pixels).all()
    assert (np.asarray(Image.open(tmp_path / "out/b/1.png")) == pixels[::-1]).all()
    assert len(list(tmp_path.glob("out/**/*.png"))) == 2


def test_a_picture_that_is_no_png_names_its_image(tmp_path):
    hook = hook_of(tmp_path, ["/photos/1.jpg"])
    nothing = np.zeros((5, 7, 9), np.uint8)
    with pytest.raises(ValueError, match=r"/photos/1\.jpg: cannot encode"):
        hook.after_test_iter(None, 0, outputs=[sample_of("/photos/1.jpg", nothing)])


@pytest.mark.parametrize("kind", [InstanceVisualizationHook, PanopticVisualizationHook])
def test_hooks_of_detectors_differ_in_what_they_draw_only(kind):
    assert issubclass(kind, PictureHook) and "draw" in vars(kind)
    assert not {"after_test_iter", "out_dir"} & set(vars(kind))
