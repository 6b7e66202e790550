"""Patch features out of a diffusion model: where the attention of each token goes."""

import torch
from torch import Tensor
from torch.nn import functional

from trace_mm.diffusion.backbone import DiffusionBackbone
from trace_mm.diffusion.noise import content_seed, seeded_noise
from trace_mm.ops import region_attention


@torch.no_grad()
def attention_features(
    backbone: DiffusionBackbone,
    image: Tensor,
    timestep: int,
    *,
    cell: int = 1,
    steps: int = 1,
    pool: int = 1,
    noise_draws: int = 1,
    seed: int = 0,
) -> Tensor:
    """Features of one image: the rows of its fused attention (Eq. 8), summed over regions.

    Tokens of one object attend to the same regions (:func:`trace_mm.ops.region_attention`). No
    entry is negative, so that cosine similarities are in [0, 1].

    Args:
        backbone: see :func:`trace_mm.diffusion.load_backbone`.
        image: (3, H, W) in [0, 1], both sides divisible by ``backbone.size_multiple``.
        timestep: noise level at which the attention is read.
        cell: side of the regions in tokens.
        steps: of a random walk over regions; 1 is the attention itself.
        pool: the mean is taken over squares of so many tokens a side, which become one patch; the
            last row or column of the grid is left out where it fills none.
        noise_draws: over how many draws of noise the attention is averaged.
        seed: of the noise, which depends on it and on the image's pixels only.

    Returns:
        (h, w, M) float32 on the backbone's device, for the M regions.

    Raises:
        ValueError: if the image's shape does not fit or a number is out of range.
    """
    if image.ndim != 3:
        raise ValueError(f"an image must be (3, H, W), got {tuple(image.shape)}")
    if noise_draws < 1:
        raise ValueError(f"noise_draws must be at least 1, got {noise_draws}")
    latents = backbone.encode(image[None])
    grid = backbone.grid(latents)
    if not 1 <= pool <= min(grid):
        raise ValueError(f"pool must be from 1 to the grid's shorter side {min(grid)}, got {pool}")
    noise = seeded_noise(content_seed(seed, image), tuple(latents.shape), noise_draws)
    attention: Tensor | None = None
    for draw in noise.to(latents.device):
        drawn = backbone.attention(backbone.add_noise(latents, draw, timestep), timestep)
        attention = drawn if attention is None else attention.add_(drawn)
    assert attention is not None  # there is at least one draw
    regions = region_attention(attention.div_(noise_draws), grid, cell, steps)  # (1, N, M)
    maps = functional.avg_pool2d(regions.mT.unflatten(2, grid), pool)  # (1, M, h, w)
    return maps[0].permute(1, 2, 0)  # (h, w, M)
