"""Noise that depends on the image's content and a seed, and on nothing else."""

import hashlib

import torch
from torch import Tensor


def content_seed(seed: int, image: Tensor) -> int:
    """A 63-bit seed from ``seed`` and the pixels of an image.

    The same picture gets the same noise whatever its file name, batch, rank, order or resume.

    Args:
        seed: the run's seed.
        image: any shape; its values and shape count.
    """
    pixels = image.detach().cpu().contiguous()
    digest = hashlib.sha256(f"{seed} {tuple(pixels.shape)} {pixels.dtype}".encode())
    digest.update(pixels.numpy().tobytes())
    return int.from_bytes(digest.digest()[:8], "big") >> 1


def seeded_noise(seed: int, shape: tuple[int, ...], draws: int = 1) -> Tensor:
    """Standard normal noise (draws, *shape), float32 on the CPU; draw k is the same for any count.

    Drawn on the CPU so that every device sees the same numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randn(shape, generator=generator) for _ in range(draws)])
