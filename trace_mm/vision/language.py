"""The attention among image tokens inside the language models of LLaVA and Qwen2.5-VL."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from trace_mm.attention import AttentionLayer, AttentionWatch, select_layers
from trace_mm.attention.causal import causal_attention_map
from trace_mm.attention.tap import AttentionCall
from trace_mm.ops.mutual_attention import mutual_attention
from trace_mm.vision.families import ClipVision, Qwen25Vision, TransformersFamily
from trace_mm.vision.families.base import Color
from trace_mm.vision.families.qwen2_5_vl import patches_of

QUESTION = "Describe this image"
"""What the paper asks (App. B.4.1). It comes after the image, whose tokens do not see it."""


class Dialogue(ABC):
    """What must be known of a model that reads images among words.

    Attributes:
        whole: name of the class that is stored, in transformers.
        tower: the family of its vision tower.
        before: what is said before the image.
        after: what is said after it.
    """

    whole: ClassVar[str]
    tower: ClassVar[TransformersFamily]
    before: ClassVar[str]
    after: ClassVar[str]

    @abstractmethod
    def token_side(self, config: Any) -> int:
        """Side in pixels of what one token of the language model stands for."""

    @abstractmethod
    def image_features(self, model: Any, pixels: Tensor) -> Tensor:
        """The tokens (N, C) of a normalised image (1, 3, H, W), row-major."""

    def positions(self, model: Any, tokens: Tensor, grid: tuple[int, int]) -> Tensor | None:
        """Places of the tokens (1, n) of a dialogue; None for one after the other."""
        return None


class LlavaDialogue(Dialogue):
    """LLaVA 1.5: each patch of CLIP's tower is a token."""

    whole = "LlavaForConditionalGeneration"
    tower = ClipVision()
    before = "USER: "
    after = f"\n{QUESTION} ASSISTANT:"

    def token_side(self, config: Any) -> int:
        """A patch."""
        return int(config.vision_config.patch_size)

    def image_features(self, model: Any, pixels: Tensor) -> Tensor:
        """From the layer of the tower that the config names, through the projection."""
        found = model.get_image_features(pixels, interpolate_pos_encoding=True, return_dict=True)
        features: Tensor = found.pooler_output[0]
        return features


class QwenDialogue(Dialogue):
    """Qwen2.5-VL: each group of 2x2 patches is a token; places are of three axes."""

    whole = "Qwen2_5_VLForConditionalGeneration"
    tower = Qwen25Vision()
    before = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        "<|vision_start|>"
    )
    after = f"<|vision_end|>{QUESTION}<|im_end|>\n<|im_start|>assistant\n"

    def token_side(self, config: Any) -> int:
        """A group of patches."""
        return int(config.vision_config.patch_size * config.vision_config.spatial_merge_size)

    def image_features(self, model: Any, pixels: Tensor) -> Tensor:
        """From the end of the tower, where groups are merged."""
        patches, grid = patches_of(model.config.vision_config, pixels)
        found = model.get_image_features(patches, grid, return_dict=True)
        features: Tensor = found.pooler_output[0]
        return features

    def positions(self, model: Any, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Of words one after the other, of the image by row and column."""
        group = model.config.vision_config.spatial_merge_size
        sizes = torch.tensor([[1, grid[0] * group, grid[1] * group]], device=tokens.device)
        kinds = (tokens == model.config.image_token_id).int()
        positions: Tensor = model.get_rope_index(
            input_ids=tokens, mm_token_type_ids=kinds, image_grid_thw=sizes
        )[0]
        return positions


DIALOGUES: dict[str, Dialogue] = {"llava": LlavaDialogue(), "qwen2_5_vl": QwenDialogue()}
"""The supported models by what their ``config.json`` calls them."""


class LanguageBackbone(nn.Module):
    """Reads how image tokens attend to each other inside a language model (Table 5, Fig. 8).

    The image stands in a dialogue, before the question :data:`QUESTION`. Since tokens see only
    earlier ones, maps are made mutual (:func:`trace_mm.ops.mutual_attention.mutual_attention`).

    Args:
        model: transformers' ``LlavaModel`` or ``Qwen2_5_VLModel``.
        before: ids of the tokens before the image.
        after: ids of those after it.
        layers: a regular expression; only layers of the language model whose name it finds are
            read, all if None.
        normalization: mean and standard deviation of the colours.

    Raises:
        ValueError: if the model is of another kind, or no layer matches.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: nn.Module,
        before: Sequence[int],
        after: Sequence[int],
        layers: str | None,
        normalization: tuple[Color, Color],
    ) -> None:
        super().__init__()
        self.model: Any = model
        parts: Any = model  # of transformers, whose modules have no types
        self.dialogue = dialogue_of(str(parts.config.model_type))
        self._before, self._after = list(before), list(after)
        stride = self.dialogue.token_side(parts.config)
        found = [
            AttentionLayer(f"layers.{number}.self_attn", layer.self_attn, stride)
            for number, layer in enumerate(parts.language_model.layers)
        ]
        self.layers = found if layers is None else select_layers(found, layers)
        for name, values in zip(("mean", "std"), normalization, strict=True):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.mean.device

    @property
    def size_multiple(self) -> int:
        """What both sides of an image must be divisible by."""
        return self.layers[0].stride

    @property
    def token(self) -> int:
        """Side in pixels of a token of the map."""
        return self.layers[0].stride

    @property
    def native_size(self) -> int:
        """Side in pixels of the square images that the model's tower was made for."""
        return self.dialogue.tower.native_side(self.model.config.vision_config.to_dict())

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Token grid (h, w) of the map of an image of this size in pixels."""
        return height // self.size_multiple, width // self.size_multiple

    @torch.no_grad()
    def attention(self, images: Tensor) -> Tensor:
        """How image tokens attend to each other, the mean over layers and heads, made mutual.

        Args:
            images: (B, 3, H, W) in [0, 1]; H and W divisible by ``size_multiple``.

        Returns:
            (B, N, N) float32, rows sum to 1, N = h * w of ``grid(H, W)``, row-major.

        Raises:
            ValueError: if the shape does not fit, or a layer does not compute its attention by
                causal scaled dot-product attention.
        """
        multiple = self.size_multiple
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images must be (B, 3, H, W), got {tuple(images.shape)}")
        if images.shape[2] % multiple or images.shape[3] % multiple:
            raise ValueError(
                f"both sides must be divisible by {multiple}, got {tuple(images.shape[2:])}"
            )
        return mutual_attention(torch.cat([self.causal_attention(one) for one in images.split(1)]))

    @torch.no_grad()
    def causal_attention(self, image: Tensor) -> Tensor:
        """The map (1, N, N) of an image (1, 3, H, W) as it is, 0 above the diagonal."""
        grid = self.grid(image.shape[2], image.shape[3])
        pixels = (image.to(self.device).float() - self.mean.float()) / self.std.float()
        features = self.dialogue.image_features(self.model, pixels.to(self.model.dtype))  # (N, C)
        count, start = grid[0] * grid[1], len(self._before)
        if len(features) != count:
            raise ValueError(f"an image of {count} tokens became {len(features)}")
        ids = [*self._before, *[self.model.config.image_token_id] * count, *self._after]
        tokens = torch.tensor([ids], device=self.device)
        words = self.model.get_input_embeddings()(tokens).clone()  # (1, n, C)
        words[0, start : start + count] = features.to(words.dtype)
        maps = _CausalSum(self.layers, slice(start, start + count), len(ids))
        with contextlib.suppress(_AllReadError), AttentionWatch(self.layers, maps.add):
            self.model.language_model(
                inputs_embeds=words,
                position_ids=self.dialogue.positions(self.model, tokens, grid),
                use_cache=False,
            )
        return maps.mean()


def dialogue_of(model_type: str) -> Dialogue:
    """What is known of a kind of model.

    Raises:
        ValueError: if it is not supported.
    """
    if model_type not in DIALOGUES:
        raise ValueError(
            f"the language model of a {model_type} cannot be read, only those of "
            f"{', '.join(DIALOGUES)}"
        )
    return DIALOGUES[model_type]


class _AllReadError(Exception):
    """Ends a pass of which only the attention is wanted."""


class _CausalSum:
    """Adds up the maps of layers in place, and stops the pass when all are there."""

    def __init__(self, layers: Sequence[AttentionLayer], image: slice, tokens: int) -> None:
        self._image, self._tokens = image, tokens
        self._missing = {layer.name for layer in layers}
        self._count = len(layers)
        self._total: Tensor | None = None

    def add(self, layer: AttentionLayer, call: AttentionCall) -> None:
        """Take the attention call of one layer."""
        found = call.query.shape[2], call.key.shape[2]
        if not call.is_masked or found != (self._tokens,) * 2 or layer.name not in self._missing:
            raise ValueError(f"layer {layer.name} does not compute causal attention of all tokens")
        query, key = call.query[:, :, self._image], call.key[:, :, self._image]
        self._total = causal_attention_map(query, key, call.scale, total=self._total)
        self._missing.remove(layer.name)
        if not self._missing:
            raise _AllReadError

    def mean(self) -> Tensor:
        """The mean (1, N, N) of the maps. Hands the memory over."""
        if self._missing or self._total is None:
            raise ValueError(
                f"{', '.join(sorted(self._missing))}: no call of scaled_dot_product_attention: "
                "load the model with attn_implementation='sdpa'"
            )
        return self._total.div_(self._count)
