"""Reads self-attention out of running models: which layers, how, and the map itself."""

from typing import TYPE_CHECKING

from trace_mm.lazy import lazy_exports

if TYPE_CHECKING:
    from trace_mm.attention.layers import AttentionLayer, select_layers
    from trace_mm.attention.maps import self_attention_map
    from trace_mm.attention.pooled_keys import PooledKeys
    from trace_mm.attention.tap import AttentionCall, AttentionTap, AttentionWatch

__all__ = [
    "AttentionCall",
    "AttentionLayer",
    "AttentionTap",
    "AttentionWatch",
    "PooledKeys",
    "select_layers",
    "self_attention_map",
]

__getattr__ = lazy_exports(__name__)
