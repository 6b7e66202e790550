"""Control maps for ControlNet, side by side with controlnet_aux's own detectors."""

import numpy as np
import pytest
import torch
from PIL import Image

from trace_mm.apis import TraceDetector, TraceInferencer
from trace_mm.structures import edges_of


@pytest.fixture(scope="module")
def detector():
    return TraceDetector.from_pretrained("trace-tiny", device="cpu", size=64)


def photo(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_result_is_of_the_image_s_kind(detector):
    image = photo(96, 130)
    array = detector(image, detect_resolution=64, image_resolution=128)
    picture = detector(Image.fromarray(image), detect_resolution=64, image_resolution=128)
    assert array.dtype == np.uint8 and array.shape == (128, 128, 3)
    assert picture.mode == "RGB" and picture.size == (128, 128)
    assert np.array_equal(array, np.asarray(picture))
    assert isinstance(detector(image, 64, 64, "pil"), Image.Image)
    assert np.ptp(array, axis=2).max() == 0 and array.max() > 0


def test_edges_are_those_of_the_model_at_this_resolution(detector):
    image = photo(128, 192)  # resized by nothing
    found = detector(image, detect_resolution=128, image_resolution=128)
    (sample,) = TraceInferencer(
        "trace-tiny", device="cpu", size=64, show_progress=False
    ).predict_images([image.astype(np.float32) / 255])
    expected = (edges_of(sample) * 255).round().astype(np.uint8)
    assert np.array_equal(found[..., 0], expected)


def test_a_threshold_draws_edges_in_full_or_not_at_all(detector):
    found = detector(photo(128, 128), 128, 128, threshold=0.5)
    assert set(np.unique(found)) <= {0, 255}
    assert detector(photo(128, 128), 128, 128, threshold=2).max() == 0


@pytest.mark.parametrize("shape", [(90, 90), (40, 200, 4), (70, 64, 1)])
def test_grey_and_transparent_images(detector, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    found = detector(image.squeeze(), 64, 64)
    assert found.shape[0] % 64 == found.shape[1] % 64 == 0


def test_wrong_options_are_refused(detector):
    with pytest.raises(ValueError, match="output_type must be pil or np, got 'jpg'"):
        detector(photo(64, 64), output_type="jpg")
    with pytest.raises(ValueError, match="detect_resolution must be at least 32 pixels, got 0"):
        detector(photo(64, 64), detect_resolution=0)


def test_it_moves_between_devices(detector):
    assert detector.to("cpu") is detector
    assert detector.inferencer.device == torch.device("cpu")
    with pytest.raises(ValueError, match="device"):
        detector.to("nowhere")


@pytest.mark.parametrize("shape", [(96, 130), (200, 90), (64, 64), (333, 512)])
@pytest.mark.parametrize("resolutions", [(64, 128), (128, 64), (100, 150)])
def test_sizes_are_those_of_controlnet_aux(detector, shape, resolutions):
    canny = pytest.importorskip("controlnet_aux.canny").CannyDetector()
    image = photo(*shape)
    options = dict(zip(("detect_resolution", "image_resolution"), resolutions, strict=True))
    for given in (image, Image.fromarray(image)):
        ours, theirs = detector(given, **options), canny(given, **options)
        assert type(ours) is type(theirs)
        assert np.asarray(ours).shape == np.asarray(theirs).shape
        assert np.asarray(ours).dtype == np.asarray(theirs).dtype
