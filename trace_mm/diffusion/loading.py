"""Loads a diffusion backbone from a diffusers folder, a hub id or a shipped name."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, DDPMScheduler, DiffusionPipeline

from trace_mm.diffusion.backbone import DiffusionBackbone
from trace_mm.diffusion.families import FAMILIES, attention_layers, select_layers
from trace_mm.diffusion.null_text import load_null_text

SETTINGS_FILE = "trace.json"
"""In a backbone's folder: what the teacher should use with it, where that is not the paper's."""

_DENOISER_FOLDERS = ("unet", "transformer")


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
) -> DiffusionBackbone:
    """Load the parts of a text-to-image model that TRACE reads.

    Args:
        pretrained: a shipped name, a local diffusers folder or a hub id.
        device: where the model goes.
        dtype: of the denoiser. The VAE stays in float32: it runs once an image, and SDXL's
            overflows in half precision.
        revision: of a hub id.
        variant: of the weight files, such as ``"fp16"``.
        layers: a regular expression; only self-attention layers whose name it finds are read.

    Returns:
        The backbone, frozen.

    Raises:
        FileNotFoundError: if there is no such model.
        ValueError: if the denoiser is of an unsupported class or no layer matches.
    """
    source = resolve_pretrained(pretrained)
    dtype = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    index = DiffusionPipeline.load_config(source, revision=revision)
    common = {"revision": revision}
    denoiser = _load_denoiser(source, index, variant=variant, torch_dtype=dtype, **common)
    vae = None
    if index.get("vae", [None, None])[1] is not None:
        vae = AutoencoderKL.from_pretrained(
            source, subfolder="vae", variant=variant, torch_dtype=torch.float32, **common
        ).to(device)
    null_text = load_null_text(source, index, revision=revision, variant=variant)
    chosen = attention_layers(denoiser)
    backbone = DiffusionBackbone(
        denoiser=denoiser.to(device),
        scheduler=_load_scheduler(source, index, **common),
        vae=vae,
        null_text=null_text,
        layers=chosen if layers is None else select_layers(chosen, layers),
    )
    return backbone


def _load_denoiser(source: str, index: dict[str, Any], **options: Any) -> Any:
    for folder in _DENOISER_FOLDERS:
        if folder in index:
            name = index[folder][1]
            if name not in FAMILIES:
                raise ValueError(
                    f"{source}: denoisers of class {name} are not supported, "
                    f"only {sorted(FAMILIES)}"
                )
            return getattr(diffusers, name).from_pretrained(source, subfolder=folder, **options)
    raise ValueError(f"{source}: model_index.json names no denoiser")


def _load_scheduler(source: str, index: dict[str, Any], **options: Any) -> Any:
    """The noise schedule that the model was trained with.

    Folders name a sampler (PNDM, Euler, ...), whose ``add_noise`` may scale latents in its own
    way; each sampler's config holds the betas that the DDPM forward process needs.
    """
    name = index["scheduler"][1]
    scheduler = getattr(diffusers, name) if "FlowMatch" in name else DDPMScheduler
    return scheduler.from_pretrained(source, subfolder="scheduler", **options)
