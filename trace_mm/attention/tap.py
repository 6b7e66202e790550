"""Reads attention out of a running model without changing what it computes.

Every supported model reaches ``torch.nn.functional.scaled_dot_product_attention`` with query and
key after normalisation and rotary embedding, as (B, heads, tokens, dim). That one call is watched
inside chosen modules, so that no attention processor has to be replaced or written again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint
from torch.utils.hooks import RemovableHandle

from trace_mm.attention.chunked import attend_and_map
from trace_mm.attention.layers import AttentionLayer
from trace_mm.attention.maps import self_attention_map

MapReceiver = Callable[[AttentionLayer, Tensor], None]
TotalOf = Callable[[AttentionLayer], Tensor | None]


@dataclass(frozen=True)
class AttentionCall:
    """The arguments of one call of scaled dot-product attention.

    Attributes:
        query: (B, heads, tokens, dim).
        key: (B, heads, keys, dim).
        value: (B, heads, keys, dim).
        scale: factor on the logits; None means dim ** -0.5.
        is_masked: whether some keys are hidden from some queries.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    scale: float | None
    is_masked: bool

    @property
    def is_plain(self) -> bool:
        """Whether it is computed on a CPU, no gradient is recorded, and all tensors are alike."""
        tensors = self.query, self.key, self.value
        records = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
        alike = all(tensor.shape == self.query.shape for tensor in tensors)
        return alike and not records and self.query.device.type == "cpu"

    @classmethod
    def of(cls, args: Sequence[Any], kwargs: dict[str, Any]) -> Self:
        """From what the function was called with."""
        names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        masked = given.get("attn_mask") is not None or bool(given.get("is_causal"))
        return cls(given["query"], given["key"], given["value"], given.get("scale"), masked)


class AttentionWatch:
    """Shows the attention call of each chosen layer to a receiver, just before it is computed.

    Used as a context around forward passes. The call runs with its own arguments, so the model's
    output is bitwise what it is without, unless the receiver says what the call gives.

    Args:
        layers: the layers to watch.
        receive: called with the layer and its call; gives the call's result, or None to have it
            computed.
    """

    def __init__(
        self,
        layers: Sequence[AttentionLayer],
        receive: Callable[[AttentionLayer, AttentionCall], Tensor | None],
    ) -> None:
        if not layers:
            raise ValueError("there is no attention layer to read")
        self._layers = tuple(layers)
        self._paused = False
        self._mode = _AttentionMode(receive)
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Self:
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

    def _entering(self, layer: AttentionLayer) -> Callable[[nn.Module, Any], None]:
        def hook(module: nn.Module, inputs: Any) -> None:
            if not self._paused:
                self._mode.layer = layer

        return hook

    def _leaving(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self._mode.layer = None


class AttentionTap(AttentionWatch):
    """Hands the self-attention map of each chosen layer to a receiver, as the layer runs.

    Maps are differentiable where gradients are enabled.

    Args:
        layers: the layers to read.
        receive: called with the layer and its map (B, n, n), float32, mean over heads, rows sum
            to 1 over the layer's image tokens.
        workspace: how many attention logits may exist at a time; chosen by device if None.
        total_of: gives for a layer a sum of maps, to which its map is added in place and which is
            received in its stead; or None.
        one_softmax: on a CPU, without gradients, compute the layer's own result of the softmax that
            its map needs, too: in less time, and the same up to rounding.

    Examples:
        >>> with AttentionTap(layers, lambda layer, attention: print(layer.name, attention.shape)):
        ...     denoiser(latents, timestep, **condition)
    """

    def __init__(
        self,
        layers: Sequence[AttentionLayer],
        receive: MapReceiver,
        workspace: int | None = None,
        total_of: TotalOf | None = None,
        one_softmax: bool = False,
    ) -> None:
        if workspace is not None and workspace < 1:
            raise ValueError(f"workspace must be at least 1, got {workspace}")

        # Not a method: that would be a circle of references, which keeps what was received, with
        # all that its gradients need, until the garbage collector comes.
        def read(layer: AttentionLayer, call: AttentionCall) -> Tensor | None:
            if call.is_masked:
                raise ValueError(
                    f"layer {layer.name} masks its attention, which cannot be read as a map"
                )
            tokens = layer.image_tokens
            query, key = call.query[:, :, tokens], call.key[:, :, tokens]  # (B, heads, n, dim) each
            total = None if total_of is None else total_of(layer)
            if one_softmax and call.is_plain and query.shape == call.query.shape:
                scale = query.shape[-1] ** -0.5 if call.scale is None else call.scale
                attended, attention = attend_and_map(query, key, call.value, scale, total)
                receive(layer, attention)
                return attended
            receive(layer, self_attention_map(query, key, call.scale, workspace, total))
            return None

        super().__init__(layers, read)
        self._receive = receive
        self._workspace = workspace

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


class _AttentionMode(TorchFunctionMode):
    """Sees each function call; acts on the attention call of the layer that is running."""

    def __init__(self, receive: Callable[[AttentionLayer, AttentionCall], Tensor | None]) -> None:
        super().__init__()
        self.layer: AttentionLayer | None = None
        self._receive = receive

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.layer is None or func is not nn.functional.scaled_dot_product_attention:
            return func(*args, **kwargs)
        layer, self.layer = self.layer, None  # what follows must not see itself
        try:
            result = self._receive(layer, AttentionCall.of(args, kwargs))
        finally:
            self.layer = layer
        return func(*args, **kwargs) if result is None else result
