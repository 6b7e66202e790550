"""Builds timm's vision transformers for images of any size, with weights of timm's or one's own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trace_mm.files.hub import readable_hub_errors


def create_timm_model(
    name: str,
    *,
    checkpoint: str | Path | None = None,
    pretrained: bool = True,
    revision: str | None = None,
    dtype: torch.dtype = torch.float32,
) -> nn.Module:
    """One of timm's vision transformers, without its classifier.

    Position embeddings are resized to each image's grid.

    Args:
        name: of the model in timm, such as ``vit_small_patch8_224.dino``.
        checkpoint: a local file of its weights; they are downloaded if None.
        pretrained: False leaves the weights random, if there is no checkpoint.
        revision: of the weights on the hub.
        dtype: of the weights.

    Raises:
        ModuleNotFoundError: if timm is not installed; says how to.
        FileNotFoundError: if there is no such checkpoint, or the hub does not give the weights.
        ValueError: if timm has no such model, it does not take images of any size, or the
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
    download = pretrained and file is None
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    source = getattr(config, "hf_hub_id", None) or name
    options: dict[str, Any] = {}
    if download and revision is not None:
        options["pretrained_cfg_overlay"] = {"hf_hub_id": f"{source}@{revision}"}
    try:
        # In this dtype from the start: the largest need 28 GB in float32.
        with readable_hub_errors(source, revision), _default_dtype(dtype):
            model: nn.Module = timm.create_model(
                name, pretrained=download, num_classes=0, dynamic_img_size=True, **options
            )
    except TypeError as error:  # an argument that the model's class does not have
        raise ValueError(
            f"timm's {name} is no plain vision transformer that takes images of any size (models "
            f"with windowed or pooled attention are none): {error}"
        ) from error
    if file is not None:
        _load_weights(model, file)
    return model


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    previous = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(previous)


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
