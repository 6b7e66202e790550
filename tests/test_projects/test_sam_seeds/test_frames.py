"""The square that a promptable model sees."""

import numpy as np
import pytest
import torch

from projects.sam_seeds.frames import Frame, Normalization

COLORS = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}
PADDED = Normalization(32, True, (0.5,) * 3, (0.25,) * 3)
SQUEEZED = Normalization(32, False, (0.5,) * 3, (0.25,) * 3)


def test_settings_of_processors():
    assert Normalization.read({"size": {"longest_edge": 32}, **COLORS}, "sam") == PADDED
    square = {"size": {"height": 32, "width": 32}, **COLORS}
    assert Normalization.read(square, "sam2") == SQUEEZED


@pytest.mark.parametrize(
    "settings",
    [{}, {"size": 32, **COLORS}, {"size": {"height": 32, "width": 16}, **COLORS},
     {"size": {"longest_edge": 32}}],
)  # fmt: skip
def test_settings_that_say_no_square(settings):
    with pytest.raises(ValueError, match="some/model: its preprocessor's settings"):
        Normalization.read(settings, "some/model")


def test_where_an_image_lies():
    padded, squeezed = Frame.fit((20, 40), PADDED), Frame.fit((20, 40), SQUEEZED)
    assert padded.inner == (16, 32) and squeezed.inner == (32, 32)
    box = np.array([[10.0, 5, 40, 20]])
    assert padded.points(box).tolist() == [[8, 4, 32, 16]]
    assert squeezed.points(box).tolist() == [[8, 8, 32, 32]]
    assert padded.points(np.array([[[40.0, 20]]])).tolist() == [[[32, 16]]]


def test_images_are_resized_normalized_and_then_padded():
    pixels = np.full((20, 40, 3), 0.75, dtype=np.float32)
    square = Frame.fit((20, 40), PADDED).image(pixels, PADDED)
    assert square.shape == (1, 3, 32, 32)
    torch.testing.assert_close(square[..., :16, :], torch.ones(1, 3, 16, 32))
    assert (square[..., 16:, :] == 0).all()
    squeezed = Frame.fit((20, 40), SQUEEZED).image(pixels, SQUEEZED)
    torch.testing.assert_close(squeezed, torch.ones(1, 3, 32, 32))


@pytest.mark.parametrize("how", [PADDED, SQUEEZED])
@pytest.mark.parametrize("size", [(24, 48), (48, 24), (7, 5)])
def test_masks_come_back_where_they_were(how, size):
    """A mask as a prompt is logits that, taken for an answer, are the mask again."""
    frame = Frame.fit(size, how)
    masks = np.zeros((2, *size), dtype=bool)
    masks[0, : size[0] // 2], masks[1, :, size[1] // 2 :] = True, True
    logits = frame.mask_prompts(masks, 32)
    assert logits.shape == (2, 1, 32, 32) and logits.abs().max() <= 8
    wrong = frame.masks(logits[:, 0]) ^ masks
    assert wrong.mean(axis=(1, 2)).max() < 0.1  # along the border that is resized twice
