"""Patch features from the attention of a diffusion model."""

import pytest
import torch

from trace_mm.diffusion import content_seed, load_backbone, seeded_noise
from trace_mm.diffusion.features import attention_features


@pytest.fixture(scope="module")
def backbone(flow_folder):
    return load_backbone(flow_folder)


def test_features_are_sums_of_the_attention_rows(backbone):
    image = torch.rand(3, 16, 24)
    latents = backbone.encode(image[None])
    noise = seeded_noise(content_seed(0, image), tuple(latents.shape))[0]
    attention = backbone.attention(backbone.add_noise(latents, noise, 200), 200)
    height, width = backbone.grid(latents)
    found = attention_features(backbone, image, 200, cell=4)
    assert found.shape == (height, width, (height // 4) * (width // 4))
    rows = attention[0].view(height, width, height, width)
    for row, column in ((0, 0), (3, 7), (height - 1, width - 1)):
        expected = [
            rows[row, column, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4].sum()
            for i in range(height // 4)
            for j in range(width // 4)
        ]
        torch.testing.assert_close(found[row, column], torch.stack(expected))


def test_pooled_features_are_means_of_squares(backbone):
    image = torch.rand(3, 16, 24)
    fine = attention_features(backbone, image, 200, cell=2)
    coarse = attention_features(backbone, image, 200, cell=2, pool=2)
    assert coarse.shape == (fine.shape[0] // 2, fine.shape[1] // 2, fine.shape[2])
    torch.testing.assert_close(coarse[1, 2], fine[2:4, 4:6].mean((0, 1)))


def test_features_depend_on_the_seed_and_nothing_else(backbone):
    image = torch.rand(3, 16, 16)
    first = attention_features(backbone, image, 400)
    assert torch.equal(first, attention_features(backbone, image, 400))
    assert not torch.equal(first, attention_features(backbone, image, 400, seed=1))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"pool": 0}, "pool"), ({"pool": 99}, "pool"), ({"noise_draws": 0}, "noise_draws")],
)
def test_bad_options_are_refused(backbone, options, message):
    with pytest.raises(ValueError, match=message):
        attention_features(backbone, torch.rand(3, 16, 16), 200, **options)
    with pytest.raises(ValueError, match="image must be"):
        attention_features(backbone, torch.rand(16, 16), 200)
