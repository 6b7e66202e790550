import pytest
import torch

from trace_mm.diffusion import load_backbone
from trace_mm.diffusion.noise import content_seed, seeded_noise
from trace_mm.diffusion.unet_features import UNetFeatures


@pytest.fixture
def backbone(sd15_folder):
    return load_backbone(sd15_folder)


def images(count, size=(16, 24)):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(0))


def test_maps_hold_the_latents_and_all_blocks_of_a_resolution(backbone):
    fine, coarse = UNetFeatures(backbone, timestep=5)(images(2))

    assert fine.shape[0] == coarse.shape[0] == 2
    assert fine.shape[2:] == (8, 12) and coarse.shape[2:] == (4, 6)
    latents = backbone.encode(images(2))
    assert torch.equal(fine[:, :4], latents)


def test_outputs_are_those_of_the_blocks(backbone):
    image = images(1)
    latents = backbone.encode(image)
    noise = seeded_noise(content_seed(3, image[0]), tuple(latents.shape[1:]))
    seen = []
    hook = backbone.denoiser.mid_block.register_forward_hook(lambda *call: seen.append(call[2]))
    backbone.denoise(backbone.add_noise(latents, noise, 7), 7)
    hook.remove()

    maps = UNetFeatures(backbone, timestep=7, seed=3)(image)

    middle = next(one for one in maps if one.shape[2:] == seen[0].shape[2:])
    channels = middle.shape[1] - seen[0].shape[1] + 1
    assert any(
        torch.equal(middle[:, start : start + seen[0].shape[1]], seen[0].float())
        for start in range(channels)
    )


def test_features_of_an_image_do_not_depend_on_its_batch(backbone):
    read = UNetFeatures(backbone, timestep=400)
    batch = images(3)
    for together, alone in zip(read(batch), read(batch[1:2]), strict=True):
        torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)


def test_no_hook_stays(backbone):
    UNetFeatures(backbone)(images(1))
    assert not any(module._forward_hooks for module in backbone.denoiser.modules())


def test_a_denoiser_that_is_no_unet_is_refused(backbone):
    class Transformer:
        denoiser = torch.nn.Linear(1, 1)

    with pytest.raises(ValueError, match="features need a U-Net, got Linear"):
        UNetFeatures(Transformer())
