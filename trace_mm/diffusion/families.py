"""What must be known of a family of denoisers to read its self-attention.

A family is a small description: which modules attend, which of their tokens are image tokens, and
how many latent pixels a token spans. Adding a family means adding one function that lists its
layers, and one line to ``FAMILIES``.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import nn

_UNET_SELF_ATTENTION = re.compile(
    r"^(?:(?P<part>down|up)_blocks\.(?P<index>\d+)|mid_block)\..*\.attn1$"
)


@dataclass(frozen=True)
class AttentionLayer:
    """One self-attention layer of a denoiser.

    Attributes:
        name: dotted name of the module within the denoiser.
        module: the module during whose forward pass the attention is computed.
        stride: latent pixels that a token spans on each axis, so that a latent (h, w) gives the
            token grid (h / stride, w / stride).
        image_tokens: which of the layer's tokens are the image, in row-major order.
    """

    name: str
    module: nn.Module
    stride: int
    image_tokens: slice = field(default_factory=lambda: slice(None))


def unet_layers(denoiser: nn.Module) -> list[AttentionLayer]:
    """The ``attn1`` layers of a ``UNet2DConditionModel``, in forward order.

    Each down block but the last halves the latent after its attention, and the up blocks go back
    the same way, so that a block's place tells its stride.
    """
    deepest = len(denoiser.get_submodule("down_blocks")._modules) - 1
    found: list[tuple[int, AttentionLayer]] = []
    for name, module in denoiser.named_modules():
        match = _UNET_SELF_ATTENTION.match(name)
        if match is None:
            continue
        index = int(match["index"] or 0)
        stage = {"down": index, "up": deepest - index, None: deepest}[match["part"]]
        turn = {"down": 0, None: 1, "up": 2}[match["part"]]
        found.append((turn, AttentionLayer(name, module, stride=2**stage)))
    return [layer for _, layer in sorted(found, key=lambda item: item[0])]


FAMILIES: dict[str, Callable[[nn.Module], list[AttentionLayer]]] = {
    "UNet2DConditionModel": unet_layers,
}
"""What lists the self-attention layers, by the class name of the denoiser."""


def attention_layers(denoiser: nn.Module) -> list[AttentionLayer]:
    """All self-attention layers of a denoiser, in forward order.

    Raises:
        ValueError: if its class is not supported or it has no self-attention.
    """
    name = type(denoiser).__name__
    if name not in FAMILIES:
        raise ValueError(f"denoisers of class {name} are not supported, only {sorted(FAMILIES)}")
    layers = FAMILIES[name](denoiser)
    if not layers:
        raise ValueError(f"this {name} has no self-attention layer to read")
    return layers


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
