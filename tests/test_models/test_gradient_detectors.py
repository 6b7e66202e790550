"""Canny and Sobel as soft edge detectors."""

import cv2
import numpy as np
import pytest
import torch

from trace_mm.models import CannyDetector, SobelDetector
from trace_mm.registry import MODELS
from trace_mm.structures import EdgeDataSample


def step_image(contrast=1.0, size=(24, 32)):
    """Black on the left, lighter on the right; RGB tensor (3, H, W)."""
    image = torch.zeros(3, *size)
    image[:, :, size[1] // 2 :] = contrast
    return image


@pytest.mark.parametrize("kind", ["CannyDetector", "SobelDetector"])
@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.5])
def test_edge_is_where_the_step_is(kind, sigma):
    detector = MODELS.build({"type": kind, "sigma": sigma})
    (sample,) = detector([step_image()])
    edges = sample.pred_edges
    assert edges.shape == (24, 32)
    assert edges.dtype == torch.float32
    assert edges[12].argmax() in (15, 16)
    assert edges[12].max() > 0.9
    assert edges[:, :5].max() < 0.01


@pytest.mark.parametrize("detector", [CannyDetector(1.0), SobelDetector(1.0)])
def test_value_grows_with_contrast(detector):
    peaks = [
        sample.pred_edges.max().item()
        for sample in detector([step_image(contrast) for contrast in (0.1, 0.3, 0.9)])
    ]
    assert 0 < peaks[0] < peaks[1] < peaks[2] <= 1


def test_sobel_is_linear_and_canny_is_its_root():
    faint = step_image(0.25)
    assert SobelDetector(2.0)([faint])[0].pred_edges.max() == pytest.approx(0.25, abs=0.02)
    assert CannyDetector(2.0)([faint])[0].pred_edges.max() == pytest.approx(0.5, abs=0.03)


def test_canny_at_each_level_is_opencvs():
    """Thresholding the soft map gives what OpenCV's Canny gives with that level's thresholds."""
    rng = np.random.default_rng(3)
    image = cv2.GaussianBlur(rng.random((40, 50)).astype(np.float32), (0, 0), 3)
    image = (image - image.min()) / np.ptp(image)
    rgb = torch.from_numpy(np.repeat(image[None], 3, axis=0))
    edges = CannyDetector(sigma=0.0, levels=20)([rgb])[0].pred_edges.numpy()
    grey = cv2.cvtColor(np.ascontiguousarray(rgb.numpy().transpose(1, 2, 0)), cv2.COLOR_RGB2GRAY)
    scale = 5000.0
    along_x, along_y = (
        np.rint(cv2.Sobel(grey, cv2.CV_32F, *order, borderType=cv2.BORDER_REPLICATE) * scale)
        for order in ((1, 0), (0, 1))
    )
    for level in (3, 6, 9):
        high = (level / 20) ** 2 * 4 * scale  # the Sobel filter's response to a unit step is 4
        expected = cv2.Canny(
            along_x.astype(np.int16), along_y.astype(np.int16), 0.4 * high, high, L2gradient=True
        )
        agree = (edges >= level / 20 - 1e-6) == (expected > 0)
        assert agree.mean() > 0.99  # derivatives are rounded to another scale
    assert (edges > 0).any()


def test_sobel_sees_a_border_of_colours_of_equal_grey():
    image = torch.zeros(3, 20, 20)
    image[0, :, :10] = 0.587
    image[1, :, 10:] = 0.299
    assert SobelDetector(1.0)([image])[0].pred_edges.max() > 0.5


def test_sizes_may_differ_and_samples_are_kept():
    detector = SobelDetector()
    sample = EdgeDataSample(metainfo={"image_id": 5})
    first, second = detector([step_image(), torch.rand(3, 7, 1)], [sample, EdgeDataSample()])
    assert first.image_id == 5
    assert second.pred_edges.shape == (7, 1)
    assert CannyDetector()([torch.rand(3, 1, 1)])[0].pred_edges.shape == (1, 1)


def test_batch_does_not_matter():
    images = [torch.rand(3, 16, 20) for _ in range(3)]
    for detector in (CannyDetector(), SobelDetector()):
        together = detector(images)
        for image, sample in zip(images, together, strict=True):
            assert torch.equal(detector([image])[0].pred_edges, sample.pred_edges)


def test_bad_arguments():
    with pytest.raises(ValueError, match="sigma"):
        SobelDetector(-1)
    with pytest.raises(ValueError, match="low_ratio"):
        CannyDetector(low_ratio=0)
    with pytest.raises(ValueError, match="level"):
        CannyDetector(levels=0)
    with pytest.raises(ValueError, match="only predict"):
        SobelDetector()([step_image()], mode="loss")


def test_canny_in_grey_or_colour():
    image = torch.zeros(3, 20, 20)
    image[0, :, :10] = 0.587  # two colours of equal grey
    image[1, :, 10:] = 0.299
    assert CannyDetector(1.0)([image])[0].pred_edges.max() > 0.5
    assert CannyDetector(1.0, color=False)([image])[0].pred_edges.max() < 0.1
    grey = torch.rand(1, 20, 20).expand(3, 20, 20)
    in_colour, in_grey = (CannyDetector(1.0, color=color)([grey])[0] for color in (True, False))
    assert (in_colour.pred_edges - in_grey.pred_edges).abs().mean() < 0.01
