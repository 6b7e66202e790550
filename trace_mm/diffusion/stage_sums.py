"""The fused map of a pass out of those of its layers, added up as they come (Eq. 8)."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from trace_mm.attention import AttentionLayer
from trace_mm.ops import AttentionFusion


class StageSums:
    """Fuses maps stage by stage (Eq. 8): those of one stride first, while they are small.

    Args:
        layers: of which one map each will be added.
        noisy: latents (B, C, h', w') that the layers see.
    """

    def __init__(self, layers: Sequence[AttentionLayer], noisy: Tensor) -> None:
        self._device = noisy.device.type
        self._counts = Counter(layer.stride for layer in layers)
        self._missing = {layer.name for layer in layers}
        self._grids = {s: (noisy.shape[2] // s, noisy.shape[3] // s) for s in self._counts}
        self._sums: dict[int, Tensor] = {}

    @property
    def complete(self) -> bool:
        """Whether the maps of all layers are there."""
        return not self._missing

    def total(self, layer: AttentionLayer) -> Tensor | None:
        """The sum to which a layer's map may be added in place, if there is one."""
        return None if torch.is_grad_enabled() else self._sums.get(layer.stride)

    def add(self, layer: AttentionLayer, attention: Tensor) -> None:
        """Take the map (B, n, n) of one layer, or the sum that it was added to.

        Raises:
            KeyError: if the layer's map was taken before.
        """
        self._missing.remove(layer.name)
        found = self._sums.get(layer.stride)
        if found is None:
            self._sums[layer.stride] = attention
        elif found is not attention:
            self._sums[layer.stride] = found.add_(attention)

    def fused(self) -> Tensor:
        """The mean over layers, (B, N, N). Hands the memory over.

        Raises:
            ValueError: if the attention of a layer was not seen; names it.
        """
        if self._missing:
            raise ValueError(
                f"{', '.join(sorted(self._missing))}: no call of scaled_dot_product_attention was "
                "seen. Use diffusers' own attention: no other attention processor, no "
                "set_attention_backend, no DIFFUSERS_ATTN_BACKEND in the environment"
            )
        finest = min(self._sums)
        fusion = AttentionFusion(self._grids[finest])
        # The sum first: its memory is the result's.
        fusion.add(
            self._sums.pop(finest), self._grids[finest], reuse=True, count=self._counts[finest]
        )
        with torch.autocast(self._device, enabled=False):  # it would fuse in half precision
            for stride in sorted(self._sums, reverse=True):
                count = self._counts[stride]
                mean = self._sums.pop(stride).div_(count)
                fusion.add(mean, self._grids[stride], weight=count)
        return fusion.result()
