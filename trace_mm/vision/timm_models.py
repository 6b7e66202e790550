"""Builds timm's vision transformers for images of any size, with weights of timm's or one's own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trace_mm.files.hub import readable_hub_errors
from trace_mm.vision.families import choose_layers

# No classifier, and position embeddings that follow the image's grid.
_OPTIONS = {"num_classes": 0, "dynamic_img_size": True}


def create_timm_model(
    name: str,
    *,
    checkpoint: str | Path | None = None,
    pretrained: bool = True,
    revision: str | None = None,
    dtype: torch.dtype = torch.float32,
) -> nn.Module:
    """One of timm's vision transformers, without its classifier.

    Position embeddings are resized to each image's grid. A model whose attention cannot be read
    is refused before any weights are downloaded.

    Args:
        name: of the model in timm, such as ``vit_small_patch8_224.dino``.
        checkpoint: a local file of its weights; they are downloaded if None.
        pretrained: False leaves the weights random, if there is no checkpoint.
        revision: of the weights on the hub.
        dtype: of the weights.

    Raises:
        ModuleNotFoundError: if timm is not installed; says how to.
        FileNotFoundError: if there is no such checkpoint, or the hub does not give the weights.
        ValueError: if timm has no such model or no weights of it, it does not take images of any
            size, its attention is no map of the image, or the checkpoint's weights are not its own.
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
    config = _pretrained_config(name, needed=download)
    _check_readable(name)
    source = getattr(config, "hf_hub_id", None) or name
    options: dict[str, Any] = dict(_OPTIONS)
    if download and revision is not None:
        options["pretrained_cfg_overlay"] = {"hf_hub_id": f"{source}@{revision}"}
    # In this dtype from the start: the largest need 28 GB in float32.
    with readable_hub_errors(source, revision), _default_dtype(dtype):
        model: nn.Module = timm.create_model(name, pretrained=download, **options)
    if file is not None:
        _load_weights(model, file)
    return model


def _pretrained_config(name: str, needed: bool) -> Any:
    """What timm knows of a model's weights.

    Raises:
        ValueError: if it has no weights of this tag, or none at all though they are needed.
    """
    import timm

    architecture = name.partition(".")[0]
    known = ", ".join(timm.list_models(f"{architecture}.*", pretrained=True))
    try:
        config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    except RuntimeError as error:  # an unknown tag
        raise ValueError(
            f"timm has no weights {name!r}; those of this model are: {known or 'none'}"
        ) from error
    if needed and (config is None or not config.has_weights):
        raise ValueError(
            f"timm has no weights of {name}: give a local file of its weights as checkpoint, or "
            f"take another model{f' ({known})' if known else ''}"
        )
    return config


def _check_readable(name: str) -> None:
    """Refuse a model whose attention cannot be read; takes no memory.

    Raises:
        ValueError: names the model and the cause.
    """
    import timm

    try:
        with torch.device("meta"):
            choose_layers(timm.create_model(name, pretrained=False, **_OPTIONS), None)
    except TypeError as error:  # an argument that the model's class does not have
        raise ValueError(
            f"timm's {name} is no plain vision transformer that takes images of any size (models "
            f"with windowed or pooled attention are none): {error}"
        ) from error
    except ValueError as error:
        raise ValueError(f"timm's {name}: {error}") from error


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
