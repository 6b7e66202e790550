"""Attention with all its probabilities written out: what captured maps are compared with.

The softmax is one in float32, whatever the precision of queries and keys.

U-Nets and PixArt have diffusers' own ``AttnProcessor`` for that. Stable Diffusion 3 and FLUX.1 get
the processors of this file, which compute the softmax over all tokens, text among them, and cut
the image's part out of the result.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor
from torch import Tensor

from trace_mm.attention import AttentionLayer
from trace_mm.diffusion import DiffusionBackbone
from trace_mm.ops import fuse_attention

Maps = dict[str, Tensor]


@contextmanager
def explicit_attention(backbone: DiffusionBackbone) -> Iterator[Maps]:
    """Within this context a denoiser computes attention explicitly.

    Yields:
        The maps (B, n, n) of a pass by the name of their layer, in forward order.
    """
    maps: Maps = {}
    denoiser = backbone.denoiser
    before = dict(denoiser.attn_processors)
    text_tokens = backbone.null_text["prompt_embeds"].shape[1]
    names = {layer.module: layer.name for layer in backbone.layers}

    def keep(module: torch.nn.Module, found: Tensor) -> None:
        maps[names[module]] = found

    kind = type(denoiser).__name__
    try:
        if kind == "SD3Transformer2DModel":
            denoiser.set_attn_processor(_JointProcessor(keep))
        elif kind == "FluxTransformer2DModel":
            denoiser.set_attn_processor(_FluxProcessor(keep, text_tokens))
        else:
            denoiser.set_attn_processor(AttnProcessor())
            for layer in backbone.layers:
                layer.module.get_attention_scores = partial(_recorded_scores, layer, keep)
        yield maps
    finally:
        denoiser.set_attn_processor(before)
        for layer in backbone.layers:
            layer.module.__dict__.pop("get_attention_scores", None)


def explicit_map(backbone: DiffusionBackbone, noisy: Tensor, timestep: int) -> Tensor:
    """The fused map (B, N, N) of the explicit maps of all layers."""
    with explicit_attention(backbone) as maps:
        backbone.denoise(noisy, timestep)
    strides = {layer.name: layer.stride for layer in backbone.layers}
    grids = [(noisy.shape[2] // strides[name], noisy.shape[3] // strides[name]) for name in maps]
    return fuse_attention(list(maps.values()), grids)


def _recorded_scores(
    layer: AttentionLayer,
    keep: Callable[[torch.nn.Module, Tensor], None],
    query: Tensor,
    key: Tensor,
    mask: Tensor | None = None,
) -> Tensor:
    """Diffusers' probabilities (B * heads, n, n), of which the mean over heads is kept."""
    scores = Attention.get_attention_scores(layer.module, query.float(), key.float(), mask)
    keep(layer.module, scores.unflatten(0, (-1, layer.module.heads)).mean(1))
    return scores.to(query.dtype)


def _attend(query: Tensor, key: Tensor, value: Tensor, image: slice) -> tuple[Tensor, Tensor]:
    """Result (B, tokens, width) and map (B, n, n), from (B, heads, tokens, dim) each."""
    scores = query.float() @ key.float().mT / query.shape[-1] ** 0.5
    scores = scores.softmax(-1)  # (B, heads, tokens, tokens)
    block = scores[:, :, image, image]
    block = block / block.sum(-1, keepdim=True)
    return (scores.to(value.dtype) @ value).transpose(1, 2).flatten(2), block.mean(1)


class _JointProcessor:
    """Stable Diffusion 3: image tokens, then text tokens if there are any."""

    def __init__(self, keep: Callable[[torch.nn.Module, Tensor], None]) -> None:
        self._keep = keep

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **others):
        def split(layer, tokens, norm=None):
            part = layer(tokens).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            return part if norm is None else norm(part)  # (B, heads, tokens, dim)

        query = split(attn.to_q, hidden_states, attn.norm_q)
        key = split(attn.to_k, hidden_states, attn.norm_k)
        value = split(attn.to_v, hidden_states)
        tokens = hidden_states.shape[1]
        if encoder_hidden_states is not None:
            text_query = split(attn.add_q_proj, encoder_hidden_states, attn.norm_added_q)
            text_key = split(attn.add_k_proj, encoder_hidden_states, attn.norm_added_k)
            text_value = split(attn.add_v_proj, encoder_hidden_states)
            query = torch.cat([query, text_query], dim=2)
            key = torch.cat([key, text_key], dim=2)
            value = torch.cat([value, text_value], dim=2)
        result, found = _attend(query, key, value, slice(0, tokens))
        self._keep(attn, found)
        image = attn.to_out[0](result[:, :tokens])
        if encoder_hidden_states is None:
            return image
        text = result[:, tokens:]
        return image, text if attn.context_pre_only else attn.to_add_out(text)


class _FluxProcessor:
    """FLUX.1: text tokens, then image tokens, all of them turned by their places."""

    def __init__(self, keep: Callable[[torch.nn.Module, Tensor], None], text_tokens: int) -> None:
        self._keep, self._text_tokens = keep, text_tokens

    def __call__(
        self,
        attn,
        hidden_states,
        encoder_hidden_states=None,
        attention_mask=None,
        image_rotary_emb=None,
    ):
        def split(layer, tokens):
            return layer(tokens).unflatten(-1, (attn.heads, -1))  # (B, tokens, heads, dim)

        query = attn.norm_q(split(attn.to_q, hidden_states))
        key = attn.norm_k(split(attn.to_k, hidden_states))
        value = split(attn.to_v, hidden_states)
        if encoder_hidden_states is not None:
            text_query = attn.norm_added_q(split(attn.add_q_proj, encoder_hidden_states))
            text_key = attn.norm_added_k(split(attn.add_k_proj, encoder_hidden_states))
            query = torch.cat([text_query, query], dim=1)
            key = torch.cat([text_key, key], dim=1)
            value = torch.cat([split(attn.add_v_proj, encoder_hidden_states), value], dim=1)
        parts = [_turn(query, *image_rotary_emb), _turn(key, *image_rotary_emb), value]
        text = self._text_tokens
        result, found = _attend(*(part.transpose(1, 2) for part in parts), slice(text, None))
        self._keep(attn, found)
        if encoder_hidden_states is None:
            return result
        return attn.to_out[0](result[:, text:]), attn.to_add_out(result[:, :text])


def _turn(tokens: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary embedding as a product of complex numbers; (B, tokens, heads, dim)."""
    pairs = torch.view_as_complex(tokens.float().unflatten(-1, (-1, 2)).contiguous())
    turns = torch.complex(cosine[:, ::2], sine[:, ::2])[:, None]  # (tokens, 1, dim / 2)
    return torch.view_as_real(pairs * turns).flatten(-2).to(tokens.dtype)
