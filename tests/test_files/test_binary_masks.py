"""Masks in black and white, however they are stored."""

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter

from tests.test_files.test_id_maps import blocks, disc, jpeg, save
from trace_mm.files.binary_masks import mask_value, read_mask
from trace_mm.files.palette import voc_palette

RIMS = {
    "3x3 blur": lambda mask: uniform_filter(mask * 255.0, 3),
    "5x5 blur": lambda mask: uniform_filter(mask * 255.0, 5),
    "gaussian": lambda mask: gaussian_filter(mask * 255.0, 2),
    "not quite white": lambda mask: gaussian_filter(mask * 240.0, 1),
}


@pytest.mark.parametrize("mode", ["L", "P", "I;16", "RGB"])
@pytest.mark.parametrize("rim", RIMS)
def test_soft_rims_are_cut_at_half(rim, mode, tmp_path):
    mask = disc()
    grey = np.rint(RIMS[rim](mask)).astype(np.uint8)
    image = Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else None
    (image or Image.fromarray(grey).convert(mode)).save(tmp_path / "a.png")
    found, soft = read_mask(tmp_path / "a.png")
    assert soft
    assert mask_value(tmp_path / "a.png") == 255
    assert (found & mask).sum() / (found | mask).sum() > 0.97


@pytest.mark.parametrize("quality", [50, 75, 90])
def test_masks_spoilt_by_jpeg_are_refused(quality, tmp_path):
    path = save(tmp_path / "a.png", jpeg((disc() * 255).astype(np.uint8), quality))
    with pytest.raises(
        ValueError, match=r"a\.png: a mask must have one value besides 0, or a soft"
    ):
        read_mask(path)
    assert mask_value(path) is None


@pytest.mark.parametrize("void", [False, True])
def test_maps_of_classes_are_no_soft_masks(void, tmp_path):
    ids = blocks((15, 2, 7, 64, 120, 182))
    if void:
        ids[1:][ids[1:] != ids[:-1]] = 255
        ids[:, 1:][ids[:, 1:] != ids[:, :-1]] = 255
    path = save(tmp_path / "a.png", ids.astype(np.uint8))
    assert mask_value(path) is None
    with pytest.raises(ValueError, match="a mask must have one value"):
        read_mask(path)


BLACK_AND_WHITE = np.array([[0, 0, 0], [255, 255, 255]], dtype=np.uint8)


@pytest.mark.parametrize("order", [1, -1])
def test_of_black_and_white_palettes_the_color_counts(order, tmp_path):
    mask = disc()
    indices = (mask if order == 1 else ~mask).astype(np.uint8)
    path = save(tmp_path / "a.png", indices, BLACK_AND_WHITE[::order])
    found, soft = read_mask(path)
    np.testing.assert_array_equal(found, mask)
    assert not soft
    assert mask_value(path) == 255


def test_a_palette_with_colors_is_no_mask_by_itself(tmp_path):
    path = save(tmp_path / "a.png", disc().astype(np.uint8), voc_palette())
    assert mask_value(path) is None
    assert (read_mask(path)[0] == disc()).all()
