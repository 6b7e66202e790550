"""What must be known of an attention layer to read its map."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class AttentionLayer:
    """One self-attention layer of a model.

    Attributes:
        name: dotted name of the module within the model.
        module: the module during whose forward pass the attention is computed.
        stride: pixels of the model's input (latent pixels, for a denoiser) that a token spans on
            each axis, so that an input (h, w) gives the token grid (h / stride, w / stride).
        image_tokens: which of the layer's tokens are the image, in row-major order.
    """

    name: str
    module: nn.Module
    stride: int
    image_tokens: slice = field(default_factory=lambda: slice(None))

    @property
    def holds_image_alone(self) -> bool:
        """Whether there are no other tokens, such as a prompt's."""
        return self.image_tokens == slice(None)


def select_layers(layers: Sequence[AttentionLayer], pattern: str) -> list[AttentionLayer]:
    """Keep the layers whose name a regular expression finds.

    Raises:
        ValueError: if nothing is left; names the layers there are.
    """
    chosen = [layer for layer in layers if re.search(pattern, layer.name)]
    if not chosen:
        names = [layer.name for layer in layers]
        raise ValueError(f"no self-attention layer matches {pattern!r}; there are {names}")
    return chosen
