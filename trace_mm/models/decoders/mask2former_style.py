"""An edge decoder in the manner of Mask2Former: the heaviest one of the paper's Table 9."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from trace_mm.models.decoders.blocks import PixelwiseBlock, Upsampler
from trace_mm.models.decoders.features import GridFreeFeatures
from trace_mm.registry import MODELS


@MODELS.register_module()
class Mask2FormerStyleDecoder(nn.Module):
    """Edges as the union of a few masks, each found by a query (Cheng et al., 2022).

    The parts of Mask2Former that make sense for one map of edges: pixel embeddings; queries that
    look at the feature image only where their own mask is (masked cross-attention), at a quarter,
    half and whole of the grid in turn, then at each other; masks as dot products of queries and
    pixel embeddings. Queries are not matched to objects. Each has a weight, and the result is the
    log of the weighted sum of their masks' odds: an edge is where any query sees one.

    ``width=512, layers=15, depth=4`` has the 258 MB of Table 9.

    Args:
        latent_channels: channels of the latents to use beside the attention; 0 for none.
        upsampling: pixels of the result along each side of a token.
        width: channels a token and a query, divisible by 4 and by ``heads``.
        depth: number of residual blocks that make the pixel embeddings.
        layers: number of transformer layers, at least 1.
        queries: number of queries, at least 1.
        heads: of the attention.
        embedding: channels of the pixel embeddings that masks are made from.
        cells: sides in tokens of the regions by which attention is compared, increasing.
        steps: how far the attention is followed.

    Raises:
        ValueError: if an option is out of range.
    """

    def __init__(
        self,
        latent_channels: int = 0,
        upsampling: int = 1,
        width: int = 128,
        depth: int = 3,
        layers: int = 3,
        queries: int = 16,
        heads: int = 8,
        embedding: int = 16,
        cells: Sequence[int] = (2, 8),
        steps: int = 2,
    ) -> None:
        super().__init__()
        if layers < 1 or queries < 1:
            raise ValueError(f"layers and queries must be at least 1, got {layers} and {queries}")
        if width % 4 or width % heads:
            raise ValueError(f"width must be divisible by 4 and {heads} heads, got {width}")
        self.upsampling = upsampling
        self.features = GridFreeFeatures(latent_channels, cells, steps)
        self.stem = nn.Conv2d(self.features.channels, width, kernel_size=3, padding=1)
        self.blocks = nn.Sequential(*(PixelwiseBlock(width) for _ in range(depth)))
        self.upsampler = Upsampler(width, upsampling, embedding, out=embedding)
        self.queries = nn.Parameter(torch.randn(queries, width))
        self.scales = nn.Parameter(torch.zeros(3, width))
        self.layers = nn.ModuleList(_QueryLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.mask_head = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, embedding)
        )
        self.weight_head = nn.Linear(width, 1)
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(
        self, attention: Tensor, grid: tuple[int, int], latents: Tensor | None = None
    ) -> Tensor:
        """Edge logits; as :meth:`GridFreeDecoder.forward`."""
        image = self.features(attention, grid, latents).to(self.stem.weight.dtype)
        image = self.blocks(self.stem(image))  # (B, width, h, w)
        pixels = self.upsampler(image)  # (B, E, h k, w k)
        queries = self.queries.expand(image.shape[0], -1, -1)  # (B, Q, width)
        for number, layer in enumerate(self.layers):
            memory = _shrink(image, 2 - number % 3)  # a quarter, half and whole in turn
            seen = self._seen(queries, pixels, (memory.shape[2], memory.shape[3]))
            keys = memory + self.scales[number % 3, :, None, None] + _sine_positions(memory)
            queries = layer(queries, keys.flatten(2).mT, memory.flatten(2).mT, seen)
        masks = self._masks(queries, pixels)  # (B, Q, h k, w k)
        weights = self.weight_head(self.norm(queries)).log_softmax(1)  # (B, Q, 1)
        return (masks + weights[..., None]).logsumexp(1, keepdim=True) + self.bias

    def _masks(self, queries: Tensor, pixels: Tensor) -> Tensor:
        """Logits (B, Q, H, W) of the queries' masks."""
        embeddings = self.mask_head(self.norm(queries))  # (B, Q, E)
        masks: Tensor = (embeddings @ pixels.flatten(2)).unflatten(2, pixels.shape[2:])
        return masks

    @torch.no_grad()
    def _seen(self, queries: Tensor, pixels: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, Q, keys): where a query may look, which is everywhere if its mask is empty."""
        masks = functional.adaptive_avg_pool2d(self._masks(queries, pixels), size).flatten(2)
        seen = masks >= 0
        return seen | ~seen.any(2, keepdim=True)


class _QueryLayer(nn.Module):
    """Masked cross-attention, self-attention and a two-layer network; normalises beforehand."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.cross = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mutual = nn.MultiheadAttention(width, heads, batch_first=True)
        self.network = nn.Sequential(
            nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, seen: Tensor) -> Tensor:
        """Queries (B, Q, width), keys and values (B, n, width), seen (B, Q, n) to queries."""
        hidden = seen.logical_not().repeat_interleave(self.heads, dim=0)  # (B * heads, Q, n)
        asked = self.norms[0](queries)
        found = self.cross(asked, keys, values, attn_mask=hidden, need_weights=False)
        queries = queries + found[0]
        asked = self.norms[1](queries)
        queries = queries + self.mutual(asked, asked, asked, need_weights=False)[0]
        changed: Tensor = queries + self.network(self.norms[2](queries))
        return changed


def _shrink(image: Tensor, halvings: int) -> Tensor:
    """(B, C, h, w) averaged to a grid of 1 / 2^halvings, rounded up."""
    divisor = 2**halvings
    return functional.adaptive_avg_pool2d(
        image, (-(-image.shape[2] // divisor), -(-image.shape[3] // divisor))
    )


def _sine_positions(image: Tensor) -> Tensor:
    """Sines and cosines (C, h, w) of the place in the image, from half a turn to 32 turns."""
    channels, height, width = image.shape[1:]
    share = torch.linspace(0, 1, channels // 4, device=image.device)
    waves = []
    for length, shape in ((height, (1, height, 1)), (width, (1, 1, width))):
        place = (torch.arange(length, device=image.device) + 0.5) / length
        angle = torch.pi * 64.0 ** share[:, None] * place  # (C / 4, length)
        for wave in (angle.sin(), angle.cos()):
            waves.append(wave.view(-1, *shape[1:]).expand(-1, height, width))
    return torch.cat(waves).to(image.dtype)
