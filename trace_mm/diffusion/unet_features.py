"""Features of an image from inside a diffusion model's U-Net."""

import torch
from torch import Tensor, nn

from trace_mm.diffusion.backbone import DiffusionBackbone
from trace_mm.diffusion.noise import content_seed, seeded_noise


class UNetFeatures:
    """Reads what the blocks of a U-Net put out, at each of its resolutions.

    Args:
        backbone: see :func:`trace_mm.diffusion.load_backbone`.
        timestep: noise level at which images are read.
        seed: of the noise, which depends on it and on the image's pixels only.

    Raises:
        ValueError: if the denoiser is no U-Net.
    """

    def __init__(self, backbone: DiffusionBackbone, timestep: int = 0, seed: int = 0) -> None:
        denoiser = backbone.denoiser
        blocks = [*getattr(denoiser, "down_blocks", []), *getattr(denoiser, "up_blocks", [])]
        if not blocks or not isinstance(getattr(denoiser, "mid_block", None), nn.Module):
            raise ValueError(f"features need a U-Net, got {type(denoiser).__name__}")
        backbone.check_timestep(timestep)
        self._blocks: list[nn.Module] = [*blocks, denoiser.mid_block]
        self._backbone, self._timestep, self._seed = backbone, timestep, seed

    @torch.no_grad()
    def __call__(self, images: Tensor) -> list[Tensor]:
        """Features of images.

        Args:
            images: (B, 3, H, W) in [0, 1]; both sides divisible by ``backbone.size_multiple``.

        Returns:
            A map (B, C, h, w) for each resolution, the finest first: the latents and the outputs
            of all blocks of that resolution, on the backbone's device.
        """
        latents = self._backbone.encode(images)
        shape = tuple(latents.shape[1:])
        seeds = [content_seed(self._seed, image) for image in images.cpu()]
        noise = torch.cat([seeded_noise(seed, shape) for seed in seeds])  # (B, C, h, w)
        noisy = self._backbone.add_noise(latents, noise.to(latents.device), self._timestep)
        found = [latents]

        def keep(module: nn.Module, inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
            found.append(output[0] if isinstance(output, tuple) else output)

        hooks = [block.register_forward_hook(keep) for block in self._blocks]
        try:
            self._backbone.denoise(noisy, self._timestep)
        finally:
            for hook in hooks:
                hook.remove()
        sizes = sorted({(output.shape[2], output.shape[3]) for output in found}, reverse=True)
        return [
            torch.cat([one.float() for one in found if one.shape[2:] == size], dim=1)
            for size in sizes
        ]
