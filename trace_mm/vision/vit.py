"""Key features of timm's vision transformers, such as DINO's.

The keys of the last attention layer are what MaskCut, TokenCut and ProMerge compare patches by.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class PatchFeatures(nn.Module):
    """Features of the patches of images, from one attention layer of a vision transformer.

    The layer's keys, or queries or values, are read at its call of scaled dot-product attention,
    heads side by side; class and register tokens are left out.

    Args:
        model: a timm ``VisionTransformer`` that takes images of any size.
        layer: which block, counted like list items; -1 is the last.
        kind: "key", "query" or "value".

    Raises:
        ValueError: if the model has no such blocks, or the kind is unknown.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, layer: int = -1, kind: str = "key") -> None:
        super().__init__()
        blocks = getattr(model, "blocks", None)
        if blocks is None or not hasattr(model, "patch_embed") or not hasattr(blocks[-1], "attn"):
            raise ValueError(f"{type(model).__name__} is not a plain vision transformer")
        if kind not in _ARGUMENTS:
            raise ValueError(f"kind must be one of {list(_ARGUMENTS)}, got {kind!r}")
        if not -len(blocks) <= layer < len(blocks):
            raise ValueError(f"there are {len(blocks)} blocks, and no block {layer}")
        self.model: Any = model
        self.attention: nn.Module = blocks[layer].attn
        self.kind = kind
        config: dict[str, Any] = getattr(self.model, "pretrained_cfg", {})
        for name, fallback in (("mean", _IMAGENET_MEAN), ("std", _IMAGENET_STD)):
            values = torch.tensor(config.get(name) or fallback)
            self.register_buffer(name, values.view(3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    @property
    def size_multiple(self) -> int:
        """Side of a patch in pixels, which both sides of images must be divisible by."""
        return int(self.model.patch_embed.patch_size[0])

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Features of a batch.

        Args:
            images: (B, 3, H, W) in [0, 1]; H and W divisible by ``size_multiple``.

        Returns:
            (B, h, w, C) float32, one for each patch.

        Raises:
            ValueError: if the shape does not fit, or the layer does not compute its attention by
                scaled dot-product attention.
        """
        patch = self.size_multiple
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images must be (B, 3, H, W), got {tuple(images.shape)}")
        if images.shape[2] % patch or images.shape[3] % patch:
            raise ValueError(f"sides must be divisible by {patch}, got {tuple(images.shape[2:])}")
        grid = images.shape[2] // patch, images.shape[3] // patch
        weights = next(self.model.parameters())
        pixels = (images.to(weights.device).float() - self.mean) / self.std
        with _Reader(self.attention, self.kind) as reader:
            self.model.forward_features(pixels.to(weights.dtype))
        if reader.found is None:
            raise ValueError(
                "the layer does not call scaled_dot_product_attention: disable timm's own fusing "
                "or choose another layer"
            )
        tokens = reader.found.float().transpose(1, 2).flatten(2)  # (B, tokens, heads * dim)
        patches = tokens[:, tokens.shape[1] - grid[0] * grid[1] :]  # prefix tokens come first
        return patches.unflatten(1, grid)  # (B, h, w, C)


_ARGUMENTS = {"query": 0, "key": 1, "value": 2}
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class _Reader(TorchFunctionMode):
    """Keeps one argument of the attention call that runs inside a module; changes nothing."""

    def __init__(self, module: nn.Module, kind: str) -> None:
        super().__init__()
        self.found: Tensor | None = None
        self._module, self._kind, self._inside = module, kind, False
        self._handles: list[Any] = []

    def __enter__(self) -> "_Reader":
        self._handles = [
            self._module.register_forward_pre_hook(lambda *_: self._set(True)),
            self._module.register_forward_hook(lambda *_: self._set(False), always_call=True),
        ]
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for handle in self._handles:
            handle.remove()

    def _set(self, inside: bool) -> None:
        self._inside = inside

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if self._inside and func is nn.functional.scaled_dot_product_attention:
            place = _ARGUMENTS[self._kind]
            self.found = args[place] if len(args) > place else kwargs[self._kind]
        return func(*args, **kwargs)


def load_vit(
    name: str,
    *,
    checkpoint: str | Path | None = None,
    pretrained: bool = True,
    device: str | torch.device = "cpu",
    layer: int = -1,
    kind: str = "key",
) -> PatchFeatures:
    """Load one of timm's vision transformers as an extractor of patch features.

    Position embeddings are resized to each image's grid.

    Args:
        name: of the model in timm, such as ``vit_small_patch8_224.dino``.
        checkpoint: a local file of its weights; they are downloaded if None.
        pretrained: False leaves the weights random, if there is no checkpoint.
        device: where the model goes.
        layer: see :class:`PatchFeatures`.
        kind: see :class:`PatchFeatures`.

    Raises:
        ModuleNotFoundError: if timm is not installed; says how to.
        FileNotFoundError: if there is no such checkpoint.
        ValueError: if timm has no such model, it is no plain vision transformer, or the
            checkpoint's weights are not its own.
    """
    try:
        import timm
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{name} needs timm: pip install 'trace_mm[vision]' ({error})", name=error.name
        ) from error
    if not timm.is_model(name):
        raise ValueError(f"timm has no model {name!r}")
    file = None if checkpoint is None else Path(checkpoint).expanduser()
    if file is not None and not file.is_file():
        raise FileNotFoundError(f"{checkpoint}: no such checkpoint")
    model = timm.create_model(
        name, pretrained=pretrained and file is None, num_classes=0, dynamic_img_size=True
    )
    if file is not None:
        _load_weights(model, file)
    return PatchFeatures(model, layer, kind).to(device)


def _load_weights(model: nn.Module, file: Path) -> None:
    """Load a checkpoint as timm reads it; only a classifier's weights may be left over."""
    from timm.models import load_state_dict

    # Knows the layouts that others publish weights in, and resizes position embeddings.
    translate = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    try:
        weights = load_state_dict(str(file))
        left = model.load_state_dict(translate(weights, model) if translate else weights, False)
    except Exception as error:  # readers raise many kinds on files of other formats
        raise ValueError(f"{file}: not a checkpoint of {type(model).__name__}: {error}") from error
    missing = list(left.missing_keys)
    extra = [key for key in left.unexpected_keys if not key.startswith("head")]
    if missing or extra:
        raise ValueError(
            f"{file}: not the weights of this model: {len(missing)} are missing "
            f"({', '.join(missing[:3])}), {len(extra)} unknown ({', '.join(extra[:3])})"
        )
