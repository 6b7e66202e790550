"""The usual size of things in an image: against filtering by hand, and on drawn discs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_laplace

from trace_mm.ops import blob_energy, usual_object_size
from trace_mm.ops.object_scale import LEAST_SIZE


def discs(side: int, diameter: float, pitch: float, seed: int = 0) -> torch.Tensor:
    """Bright discs at the crossings of a shaken grid, (3, side, side), anti-aliased."""
    chance = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side] + 0.5
    image = np.zeros((side, side))
    for top in np.arange(pitch / 2, side, pitch):
        for left in np.arange(pitch / 2, side, pitch):
            y, x = np.array([top, left]) + chance.uniform(-0.2, 0.2, 2) * pitch
            away = diameter / 2 - np.hypot(rows - y, columns - x)
            image = np.maximum(image, np.clip(away + 0.5, 0, 1))
    return torch.from_numpy(image).float().expand(3, -1, -1)


def scale_free(side: int, seed: int, slope: float = 1.0) -> torch.Tensor:
    """Noise with the spectrum of photos: amplitudes fall as 1 / frequency ** slope."""
    chance = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(chance.standard_normal((side, side))) / frequency**slope
    spectrum[0, 0] = 0
    image = np.fft.irfft2(spectrum, (side, side))
    return torch.from_numpy(0.5 + image / 6 / image.std()).float().expand(3, -1, -1)


@pytest.mark.parametrize("size", [(96, 64), (81, 97)])
def test_energy_is_that_of_filtered_images(size):
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(1))
    diameters = np.array([6.0, 9.0, 15.0, 24.0])
    grey = image.double().mean(0).numpy()
    for diameter, found in zip(diameters, blob_energy(image, diameters), strict=True):
        sigma = diameter / 8**0.5
        filtered = sigma**2 * gaussian_laplace(grey, sigma, mode="reflect", truncate=8)
        assert found == pytest.approx((filtered**2).mean(), rel=0.03)


@pytest.mark.parametrize("diameter", [12, 16, 24])
@pytest.mark.parametrize("spread", [1.6, 3.0])
def test_discs_are_as_large_as_they_are(diameter, spread):
    found = usual_object_size(discs(256, diameter, diameter * spread))
    assert found == pytest.approx(diameter, rel=0.2)


def test_dark_discs_and_dim_ones_beside_a_slope():
    image = discs(256, 14, 30)
    assert usual_object_size(1 - image) == pytest.approx(usual_object_size(image))
    slope = torch.linspace(0, 0.5, 256).expand(3, 256, 256)
    assert usual_object_size(image / 4 + slope) == pytest.approx(14, rel=0.15)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 50), st.floats(0.7, 1.5))
def test_turned_and_mirrored_images_have_the_same_size(seed, brightness):
    image = discs(96, 12, 24, seed) * brightness / 2
    found = usual_object_size(image)
    assert found is not None
    for other in (image.flip(1), image.flip(2), image.transpose(1, 2), image.flip(0)):
        assert usual_object_size(other) == found


def test_twice_as_large_an_image_has_things_twice_as_large():
    image = discs(128, 12, 26)
    large = torch.nn.functional.interpolate(image[None], scale_factor=2, mode="bicubic")[0]
    assert usual_object_size(large) == pytest.approx(2 * usual_object_size(image), rel=0.05)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("slope", [0.0, 1.0, 1.4])
def test_noise_has_no_usual_size(seed, slope):
    """White, as in photos, and smoother."""
    assert usual_object_size(scale_free(256, seed, slope)) is None


def test_what_fills_the_image_or_is_a_speck_is_not_many_things():
    assert usual_object_size(discs(128, 60, 128)) is None
    assert usual_object_size(torch.full((3, 128, 128), 0.4)) is None
    assert usual_object_size(torch.rand(3, 1, 1)) is None
    assert usual_object_size(torch.rand(3, 20, 20)) is None  # a fifth is below the least size


def test_textures_are_not_many_things():
    assert usual_object_size(discs(128, 6, 12)) is None
    assert usual_object_size(discs(128, LEAST_SIZE + 1, 22)) is not None


@pytest.mark.parametrize("shape", [(8, 8), (1, 3, 8, 8), (3, 0, 8)])
def test_shapes_that_are_no_image(shape):
    with pytest.raises(ValueError, match=r"an image must be \(C, H, W\)"):
        usual_object_size(torch.zeros(shape))
