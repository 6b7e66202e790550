import pytest
import torch

pytest.importorskip("mmcv.ops", reason="mmcv or its operations are not installed")
pytest.importorskip("mmdet", reason="mmdet is not installed")
from trace_mm.mask2former import DiffusionPyramid
from trace_mm.registry import MODELS


@pytest.fixture
def folder(sd15_folder):
    return str(sd15_folder)


def images(count, size=(32, 48)):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(0))


def test_maps_have_growing_strides(folder):
    pyramid = DiffusionPyramid(folder, channels=(8, 16, 16, 24))
    maps = pyramid(images(2))
    assert [tuple(one.shape) for one in maps] == [
        (2, 8, 16, 24),
        (2, 16, 8, 12),
        (2, 16, 4, 6),
        (2, 24, 2, 3),
    ]


def test_the_diffusion_model_is_neither_trained_nor_saved(folder):
    pyramid = DiffusionPyramid(folder)
    sum(one.sum() for one in pyramid(images(1))).backward()
    assert all(parameter.grad is not None for parameter in pyramid.parameters())
    assert {name.partition(".")[0] for name in pyramid.state_dict()} == {
        "stem",
        "fine",
        "coarse",
        "deeper",
    }


def test_cached_features_are_those_of_the_image(folder):
    torch.manual_seed(0)
    pyramid = DiffusionPyramid(folder, cached_images=3).train()
    batch = images(3)
    first = pyramid(batch)
    shuffled = [2, 0]
    again = pyramid(batch[shuffled])
    fresh = pyramid.eval()(batch[shuffled])
    for one, two, three in zip(first, again, fresh, strict=True):
        torch.testing.assert_close(one[shuffled], two, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(two, three, rtol=0.02, atol=0.02)  # half precision


def test_the_cache_is_bounded(folder):
    pyramid = DiffusionPyramid(folder, cached_images=2).train()
    pyramid(images(2))
    kept = dict(pyramid._cache)
    pyramid(images(4)[2:])
    assert len(kept) == 2 and pyramid._cache.keys() == kept.keys()


def test_four_maps_are_needed(folder):
    with pytest.raises(ValueError, match="four maps"):
        MODELS.build({"type": "DiffusionPyramid", "pretrained": folder, "channels": (8, 8)})
