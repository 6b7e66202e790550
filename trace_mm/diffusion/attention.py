"""Reads self-attention maps out of a running denoiser without changing what it computes.

Every supported denoiser reaches ``torch.nn.functional.scaled_dot_product_attention`` with query and
key after normalisation and rotary embedding, as (B, heads, tokens, dim). The tap watches that one
call inside chosen modules, so that no attention processor has to be replaced or written again.
"""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint
from torch.utils.hooks import RemovableHandle

from trace_mm.diffusion.families import AttentionLayer

DEFAULT_WORKSPACE = {"cpu": 1 << 19}
"""Entries (heads x rows x keys) of the logits that exist at a time: what a processor caches."""
LARGE_WORKSPACE = 1 << 25
"""The same for other devices, which want much work at a time: 128 MiB of float32."""

MapReceiver = Callable[[AttentionLayer, Tensor], None]


class AttentionTap:
    """Hands the self-attention map of each chosen layer to a receiver, as the layer runs.

    Used as a context around forward passes. The wrapped call runs with its own arguments, so the
    model's output is bitwise what it is without the tap. Maps are differentiable where gradients
    are enabled.

    Args:
        layers: the layers to read.
        receive: called with the layer and its map (B, n, n), float32, mean over heads, rows sum
            to 1 over the layer's image tokens.
        workspace: how many attention logits may exist at a time; chosen by device if None.

    Example:
        >>> with AttentionTap(layers, lambda layer, attention: print(layer.name, attention.shape)):
        ...     denoiser(latents, timestep, **condition)
    """

    def __init__(
        self,
        layers: Sequence[AttentionLayer],
        receive: MapReceiver,
        workspace: int | None = None,
    ) -> None:
        if not layers:
            raise ValueError("there is no attention layer to read")
        if workspace is not None and workspace < 1:
            raise ValueError(f"workspace must be at least 1, got {workspace}")
        self._layers = tuple(layers)
        self._receive = receive
        self._workspace = workspace
        self._paused = False
        self._mode = _AttentionMode(receive, workspace)
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> "AttentionTap":
        for layer in self._layers:
            self._handles += [
                layer.module.register_forward_pre_hook(self._entering(layer)),
                layer.module.register_forward_hook(self._leaving, always_call=True),
            ]
        self._mode.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._mode.__exit__(kind, error, trace)
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def checkpoint(self, module: nn.Module, *inputs: Any) -> Any:
        """Run a module with gradient checkpointing: what it computes is not kept but recomputed.

        The backward pass runs the module's layers a second time, after the context is left. Their
        maps must then be computed too, as their gradients need what was not kept, but must not be
        received twice. So each run has a tap of its own, and only the first one's maps are used.

        Args:
            module: holds none, some or all of the layers.
            inputs: of the module.

        Returns:
            The module's output.
        """
        parts = set(module.modules())
        layers = [layer for layer in self._layers if layer.module in parts]
        if not layers:
            return checkpoint(module, *inputs, use_reentrant=False)

        def run(*inputs: Any) -> tuple[Any, list[tuple[AttentionLayer, Tensor]]]:
            maps: list[tuple[AttentionLayer, Tensor]] = []
            with AttentionTap(layers, lambda *found: maps.append(found), self._workspace):
                output = module(*inputs)
            return output, maps

        self._paused = True
        try:
            output, maps = checkpoint(run, *inputs, use_reentrant=False)
        finally:
            self._paused = False
        for layer, attention in maps:
            self._receive(layer, attention)
        return output

    def _entering(self, layer: AttentionLayer) -> Callable[[nn.Module, Any], None]:
        def hook(module: nn.Module, inputs: Any) -> None:
            if not self._paused:
                self._mode.layer = layer

        return hook

    def _leaving(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self._mode.layer = None


class _AttentionMode(TorchFunctionMode):
    """Sees each function call; acts on the attention call of the layer that is running."""

    def __init__(self, receive: MapReceiver, workspace: int | None) -> None:
        super().__init__()
        self.layer: AttentionLayer | None = None
        self._receive = receive
        self._workspace = workspace

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.layer is None or func is not nn.functional.scaled_dot_product_attention:
            return func(*args, **kwargs)
        layer, self.layer = self.layer, None  # what follows must not see itself
        try:
            query, key = _query_and_key(args, kwargs, layer)
            attention = self_attention_map(query, key, kwargs.get("scale"), self._workspace)
            self._receive(layer, attention)
        finally:
            self.layer = layer
        return func(*args, **kwargs)


def _query_and_key(
    args: tuple[Any, ...], kwargs: dict[str, Any], layer: AttentionLayer
) -> tuple[Tensor, Tensor]:
    query = args[0] if args else kwargs["query"]
    key = args[1] if len(args) > 1 else kwargs["key"]
    mask = args[3] if len(args) > 3 else kwargs.get("attn_mask")
    causal = args[5] if len(args) > 5 else kwargs.get("is_causal", False)
    if mask is not None or causal:
        raise ValueError(f"layer {layer.name} masks its attention, which cannot be read as a map")
    tokens = layer.image_tokens
    return query[:, :, tokens], key[:, :, tokens]  # (B, heads, n, dim) each


def self_attention_map(
    query: Tensor, key: Tensor, scale: float | None = None, workspace: int | None = None
) -> Tensor:
    """Mean over heads of softmax(Q K^T * scale), in float32 (Eq. 6 and 7).

    Args:
        query: (B, heads, n, dim).
        key: (B, heads, n, dim).
        scale: factor on the logits; None means dim ** -0.5.
        workspace: how many logits may exist at a time, but at least one row per head; chosen by
            device if None.

    Returns:
        (B, n, n), rows sum to 1.

    Raises:
        ValueError: if query and key are not of one shape (B, heads, n, dim).
    """
    if query.ndim != 4 or query.shape != key.shape:
        raise ValueError(
            f"query and key must both be (B, heads, n, dim), "
            f"got {tuple(query.shape)} and {tuple(key.shape)}"
        )
    batch, heads, tokens, width = query.shape
    scale = width**-0.5 if scale is None else scale
    keys = key.float().mT * scale  # (B, heads, dim, n)
    if workspace is None:
        workspace = DEFAULT_WORKSPACE.get(query.device.type, LARGE_WORKSPACE)
    rows = max(1, workspace // (batch * heads * tokens))
    if torch.is_grad_enabled() and (query.requires_grad or key.requires_grad):
        # Writing pieces into one tensor would copy the whole gradient once a piece.
        pieces = [_mean_softmax(piece, keys) for piece in query.split(rows, dim=2)]
        return torch.cat(pieces, dim=1)
    attention = torch.empty(batch, tokens, tokens, device=query.device, dtype=torch.float32)
    # One block of memory for all pieces: a new one each time would cost more than the softmax.
    logits = torch.empty(batch, heads, rows, tokens, device=query.device, dtype=torch.float32)
    with torch.autocast(query.device.type, enabled=False):
        for start in range(0, tokens, rows):
            piece = query[:, :, start : start + rows].float()  # (B, heads, rows, dim)
            block = logits[:, :, : piece.shape[2]]
            torch.matmul(piece, keys, out=block)
            torch.softmax(block, -1, out=block)
            torch.mean(block, 1, out=attention[:, start : start + rows])
    return attention


def _mean_softmax(query: Tensor, keys: Tensor) -> Tensor:
    """Rows (B, rows, n) of the map: query (B, heads, rows, dim), scaled keys (B, heads, dim, n)."""
    # Autocast would silently compute the logits in half precision.
    with torch.autocast(query.device.type, enabled=False):
        logits = query.float() @ keys  # (B, heads, rows, n)
        return logits.softmax(-1).mean(1)
