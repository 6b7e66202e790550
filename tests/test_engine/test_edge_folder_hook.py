"""Edge maps are checked against the images before a test starts."""

from types import SimpleNamespace

import numpy as np
import pytest
from torch import nn

from trace_mm.engine import EdgeFolderHook
from trace_mm.models import EdgeFolder


class Photos:
    """As much of a dataset as is asked for."""

    def __init__(self, names):
        self.names, self.data_prefix = names, {"img_path": "data/photos/"}

    def __len__(self):
        return len(self.names)

    def get_data_info(self, index):
        return {"img_path": f"data/photos/{self.names[index]}", "image_id": index}


def runner(model, dataset):
    loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset))
    return SimpleNamespace(model=nn.Sequential(model), test_loop=loop)


@pytest.mark.parametrize(
    "wrap", [lambda photos: photos, lambda photos: SimpleNamespace(images=photos)]
)
def test_a_map_of_two_images_ends_the_test(tmp_path, wrap):
    np.save(tmp_path / "1.npy", np.zeros((2, 3), dtype=np.float32))
    photos = wrap(Photos(["x/1.jpg", "y/1.jpg"]))
    with pytest.raises(ValueError, match=r"may be the edge map of x/1\.jpg or of y/1\.jpg"):
        EdgeFolderHook().before_test(runner(EdgeFolder(str(tmp_path)), photos))
    photos = wrap(Photos(["x/1.jpg", "y/2.jpg"]))
    EdgeFolderHook().before_test(runner(EdgeFolder(str(tmp_path)), photos))


def test_other_models_and_datasets_are_left_alone(tmp_path):
    EdgeFolderHook().before_test(runner(nn.Identity(), Photos(["x/1.jpg"])))
    EdgeFolderHook().before_test(runner(EdgeFolder(str(tmp_path)), [1, 2]))
