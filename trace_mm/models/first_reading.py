"""What a student saw before it was trained, to know where labels may lack an edge."""

import copy
from typing import Any

import torch
from torch import Tensor, nn


class FirstReading:
    """A student's decoder as it is now, which reads later what the decoder in training reads.

    Its weights are neither trained nor saved: a resumed run starts from the same checkpoint.

    Args:
        decoder: with its first weights.
    """

    def __init__(self, decoder: nn.Module) -> None:
        self._decoder = copy.deepcopy(decoder).requires_grad_(False).eval()
        self.logits: Tensor | None = None

    @torch.no_grad()
    def read(self, attention: Any, grid: tuple[int, int], latents: Tensor) -> None:
        """Set ``logits`` (B, 1, h, w) to what the first decoder says; see ``GridFreeDecoder``."""
        self.logits = self._decoder.to(latents.device)(attention, grid, latents)
