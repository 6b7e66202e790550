"""What must be known of a family of denoisers to read its self-attention and to fine-tune it.

A family is a small description: which modules attend, which of their tokens are image tokens, how
many latent pixels a token spans, and which linear layers make up its transformer. Adding a family
means adding one function that lists its layers, and one entry to ``FAMILIES``.
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


@dataclass(frozen=True)
class Family:
    """What denoisers of one class have in common.

    Attributes:
        layers: lists the self-attention layers of a denoiser, in forward order.
        lora_targets: a regular expression that matches the whole name of each linear layer of the
            transformer: the projections of self- and cross-attention, and the feed-forward network.
    """

    layers: Callable[[nn.Module], list[AttentionLayer]]
    lora_targets: str


FAMILIES: dict[str, Family] = {
    "UNet2DConditionModel": Family(
        layers=unet_layers,
        lora_targets=(
            r".*\.transformer_blocks\.\d+\."
            r"(attn[12]\.(to_q|to_k|to_v|to_out\.0)|ff\.net\.(0\.proj|2))"
        ),
    ),
}
"""The supported denoisers, by the name of their class."""


def attention_layers(denoiser: nn.Module) -> list[AttentionLayer]:
    """All self-attention layers of a denoiser, in forward order.

    Raises:
        ValueError: if its class is not supported or it has no self-attention.
    """
    layers = family_of(denoiser).layers(denoiser)
    if not layers:
        raise ValueError(f"this {type(denoiser).__name__} has no self-attention layer to read")
    return layers


def family_of(denoiser: nn.Module) -> Family:
    """The description of a denoiser's class.

    Raises:
        ValueError: if its class is not supported.
    """
    name = type(denoiser).__name__
    if name not in FAMILIES:
        raise ValueError(f"denoisers of class {name} are not supported, only {sorted(FAMILIES)}")
    return FAMILIES[name]


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
