"""Loads a diffusion backbone from a diffusers folder, a hub id or a shipped name."""

import json
from collections.abc import Mapping
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, DDPMScheduler, DiffusionPipeline

from trace_mm.attention import select_layers
from trace_mm.diffusion.backbone import DiffusionBackbone
from trace_mm.diffusion.families import FAMILIES, Family, attention_layers, family_of_class
from trace_mm.diffusion.null_text import load_null_text
from trace_mm.files.hub import readable_hub_errors

SETTINGS_FILE = "trace.json"
"""In a backbone's folder: what the teacher should use with it, where that is not the paper's."""

_DENOISER_FOLDERS = ("unet", "transformer")
_OFFLOADS = ("block_level", "leaf_level")
# Published PixArt folders name a class of old, which diffusers turns into today's.
_OLD_CLASSES = {"Transformer2DModel": {"ada_norm_single": "PixArtTransformer2DModel"}}


def shipped_models() -> dict[str, Path]:
    """Folders of the backbones in this package, by name."""
    root = Path(str(files("trace_mm"))) / "weights"
    return {path.parent.name: path.parent for path in sorted(root.glob("*/model_index.json"))}


def resolve_pretrained(pretrained: str | Path) -> str:
    """Turn a shipped name into its folder; leave folders and hub ids as they are.

    Raises:
        FileNotFoundError: if it is a folder without a model, or looks like neither a folder, a
            shipped name nor a hub id.
    """
    shipped = shipped_models()
    if str(pretrained) in shipped:
        return str(shipped[str(pretrained)])
    path = Path(pretrained).expanduser()
    if path.is_dir():
        if not (path / "model_index.json").is_file():
            raise FileNotFoundError(f"{path} is not a diffusers folder: no model_index.json in it")
        return str(path)
    if str(pretrained).count("/") == 1 and not path.is_absolute() and str(pretrained)[0] != ".":
        return str(pretrained)
    raise FileNotFoundError(
        f"{pretrained} is neither a shipped model ({', '.join(shipped)}), a folder, "
        f"nor a hub id of the form owner/name"
    )


def backbone_settings(pretrained: str | Path) -> dict[str, Any]:
    """The teacher settings that a backbone's folder recommends; empty where it has none.

    Raises:
        ValueError: if the file is not a JSON object; names it.
    """
    path = Path(resolve_pretrained(pretrained)) / SETTINGS_FILE
    if not path.is_file():
        return {}
    try:
        settings = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(settings).__name__}")
    return settings


def load_recommended(
    pretrained: str | Path, **options: Any
) -> tuple[DiffusionBackbone, dict[str, Any]]:
    """Load a backbone with the layers that its folder recommends, unless others are given.

    Args:
        pretrained: as for :func:`load_backbone`, which also says what is raised.
        options: of :func:`load_backbone`.

    Returns:
        The backbone, and all that its folder recommends (:func:`backbone_settings`).
    """
    settings = backbone_settings(pretrained)
    if settings.get("layers") is not None:
        options = {"layers": settings["layers"], **options}
    return load_backbone(pretrained, **options), settings


def load_backbone(
    pretrained: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = torch.float32,
    revision: str | None = None,
    variant: str | None = None,
    layers: str | None = None,
    offload: str | None = None,
    quantization: Mapping[str, Any] | None = None,
    low_cpu_mem_usage: bool | None = None,
    local_files_only: bool = False,
) -> DiffusionBackbone:
    """Load the parts of a text-to-image model that TRACE reads, by diffusers' ``from_pretrained``.

    Those are the denoiser, the VAE, the scheduler's config and the empty prompt's embeddings. Text
    encoders are loaded once, to compute the latter, and before the denoiser.

    Args:
        pretrained: a name of the catalogue, a local diffusers folder or a hub id.
        device: where the model goes.
        dtype: of the denoiser. The VAE stays in float32: it runs once an image, and SDXL's
            overflows in half precision.
        revision: of a hub id.
        variant: of the weight files, such as ``"fp16"``.
        layers: a regular expression; only self-attention layers whose name it finds are read.
        offload: keep the denoiser's weights on the CPU and bring them to the device for the time
            they are needed: ``"block_level"`` (a block at a time) or ``"leaf_level"`` (a layer at
            a time; least memory). Diffusers' group offloading.
        quantization: for the denoiser: ``type`` is a quantization config of diffusers, the rest
            its arguments, such as ``dict(type="BitsAndBytesConfig", load_in_4bit=True)`` or
            ``dict(type="TorchAoConfig", quant_type=dict(type="Int8WeightOnlyConfig"))``. A folder
            that was stored quantized needs none.
        low_cpu_mem_usage: of ``from_pretrained``; its own default if None.
        local_files_only: do not ask the hub for anything.

    Returns:
        The backbone, frozen.

    Raises:
        FileNotFoundError: if there is no such model, or the hub does not give it; says why.
        ValueError: if the denoiser is of an unsupported class, no layer matches, or an option is
            wrong.
    """
    if offload not in (None, *_OFFLOADS):
        raise ValueError(f"offload must be one of {', '.join(_OFFLOADS)}, got {offload!r}")
    source = resolve_pretrained(pretrained)
    loading = {"revision": revision, "local_files_only": local_files_only}
    with readable_hub_errors(source, revision):
        index = DiffusionPipeline.load_config(source, **loading)
        kind, folder = _denoiser_entry(source, index)
        config = kind.load_config(source, subfolder=folder, **loading)
        family = _family(source, kind, config)
        null_text = load_null_text(source, index, family, config, loading=loading, variant=variant)
        weights = {**loading, "variant": variant}
        options: dict[str, Any] = {}
        if quantization is not None:
            options["quantization_config"] = _quantization(quantization)
        if low_cpu_mem_usage is not None:
            options["low_cpu_mem_usage"] = low_cpu_mem_usage
        denoiser = kind.from_pretrained(
            source, subfolder=folder, torch_dtype=as_dtype(dtype), **weights, **options
        )
        vae = None
        if index.get("vae", [None, None])[1] is not None:
            vae = AutoencoderKL.from_pretrained(
                source, subfolder="vae", torch_dtype=torch.float32, **weights
            )
        scheduler = _load_scheduler(source, index, **loading)
    chosen = attention_layers(denoiser, null_text["prompt_embeds"].shape[1])
    if layers is not None:
        chosen = select_layers(chosen, layers)
    backbone = DiffusionBackbone(denoiser, scheduler, vae, null_text, chosen)
    return backbone.offload_to(device, offload) if offload else backbone.to(device)


def as_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """A dtype from its name.

    Raises:
        ValueError: if there is none of that name.
    """
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype):
        raise ValueError(f"{dtype!r} is no dtype; float32, float16 and bfloat16 are")
    return found


def _denoiser_entry(source: str, index: dict[str, Any]) -> tuple[Any, str]:
    """The denoiser's class and folder."""
    for folder in _DENOISER_FOLDERS:
        if folder in index:
            name = index[folder][1]
            if name not in (*FAMILIES, *_OLD_CLASSES):
                raise ValueError(
                    f"{source}: denoisers of class {name} are not supported, "
                    f"only {sorted(FAMILIES)}"
                )
            return getattr(diffusers, name), folder
    raise ValueError(f"{source}: model_index.json names no denoiser")


def _family(source: str, kind: Any, config: Mapping[str, Any]) -> Family:
    name = kind.__name__
    if name in _OLD_CLASSES:
        name = _OLD_CLASSES[name].get(str(config.get("norm_type")), f"{name} of another norm")
    try:
        return family_of_class(name)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def _quantization(settings: Mapping[str, Any]) -> Any:
    """A quantization config of diffusers, from plain values."""
    options = dict(settings)
    name = options.pop("type", None)
    kind = getattr(diffusers, str(name), None)
    if kind is None or not str(name).endswith("Config"):
        raise ValueError(f"quantization.type must be a quantization config, got {name!r}")
    nested = options.get("quant_type")
    if isinstance(nested, Mapping):  # torchao's own config
        inner = dict(nested)
        configs = import_module("torchao.quantization")
        options["quant_type"] = getattr(configs, inner.pop("type"))(**inner)
    return kind(**options)


def _load_scheduler(source: str, index: dict[str, Any], **options: Any) -> Any:
    """The noise schedule that the model was trained with.

    Folders name a sampler (PNDM, Euler, ...), whose ``add_noise`` may scale latents in its own
    way; each sampler's config holds the betas that the DDPM forward process needs.
    """
    name = index["scheduler"][1]
    scheduler = getattr(diffusers, name) if "FlowMatch" in name else DDPMScheduler
    return scheduler.from_pretrained(source, subfolder="scheduler", **options)
