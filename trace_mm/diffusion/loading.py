"""Loads a diffusion backbone from a diffusers folder, a hub id or a shipped name."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, DDPMScheduler, DiffusionPipeline
from torch import Tensor

from trace_mm.attention import select_layers
from trace_mm.diffusion.backbone import DiffusionBackbone
from trace_mm.diffusion.families import FAMILIES, Family, attention_layers, family_of_class
from trace_mm.diffusion.null_text import load_null_text
from trace_mm.diffusion.pretrained import backbone_settings, resolve_pretrained
from trace_mm.files.hub import readable_hub_errors
from trace_mm.ops.dtypes import as_dtype

_DENOISER_FOLDERS = ("unet", "transformer")
_OFFLOADS = ("block_level", "leaf_level")
# Published PixArt folders name a class of old, which diffusers turns into today's.
_OLD_CLASSES = {"Transformer2DModel": {"ada_norm_single": "PixArtTransformer2DModel"}}


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
        pretrained: as for :func:`resolve_pretrained`.
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
    options: dict[str, Any] = {
        "torch_dtype": as_dtype(dtype),
        **_memory_options(quantization, low_cpu_mem_usage),
    }
    model = open_model(pretrained, revision, local_files_only)
    with readable_hub_errors(model.source, revision):
        null_text = model.null_text(variant)
        weights = {**model.loading, "variant": variant}
        denoiser = model.denoiser_class.from_pretrained(
            model.source, subfolder=model.folder, **weights, **options
        )
        vae = None
        if model.index.get("vae", [None, None])[1] is not None:
            vae = AutoencoderKL.from_pretrained(
                model.source, subfolder="vae", torch_dtype=torch.float32, **weights
            )
        scheduler = _load_scheduler(model)
    chosen = attention_layers(denoiser, null_text["prompt_embeds"].shape[1])
    if layers is not None:
        chosen = select_layers(chosen, layers)
    backbone = DiffusionBackbone(denoiser, scheduler, vae, null_text, chosen)
    return backbone.offload_to(device, offload) if offload else backbone.to(device)


@dataclass(frozen=True)
class ModelSource:
    """A diffusers folder or hub model of which only the configs have been read.

    Attributes:
        source: folder or hub id.
        index: its ``model_index.json``.
        denoiser_class: of diffusers.
        folder: of the denoiser in it.
        config: of the denoiser.
        family: of the denoiser.
        loading: options of ``from_pretrained``.
    """

    source: str
    index: dict[str, Any]
    denoiser_class: Any
    folder: str
    config: dict[str, Any]
    family: Family
    loading: dict[str, Any]

    def null_text(self, variant: str | None = None) -> dict[str, Tensor]:
        """The empty prompt's embeddings, see :func:`load_null_text`.

        Args:
            variant: of the text encoders' weight files.
        """
        return load_null_text(
            self.source,
            self.index,
            self.family,
            self.config,
            loading=self.loading,
            variant=variant,
        )


def open_model(
    pretrained: str | Path, revision: str | None = None, local_files_only: bool = False
) -> ModelSource:
    """Read what a model consists of.

    Args:
        pretrained: as for :func:`resolve_pretrained`.
        revision: of a hub id.
        local_files_only: do not ask the hub for anything.

    Raises:
        FileNotFoundError: if there is no such model, or the hub does not give it; says why.
        ValueError: if its denoiser is of an unsupported class.
    """
    source = resolve_pretrained(pretrained)
    loading = {"revision": revision, "local_files_only": local_files_only}
    with readable_hub_errors(source, revision):
        index = DiffusionPipeline.load_config(source, **loading)
        kind, folder = _denoiser_entry(source, index)
        config = kind.load_config(source, subfolder=folder, **loading)
    family = _family(source, kind, config)
    return ModelSource(source, index, kind, folder, config, family, loading)


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


def _memory_options(
    quantization: Mapping[str, Any] | None, low_cpu_mem_usage: bool | None
) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if quantization is not None:
        options["quantization_config"] = _quantization(quantization)
    if low_cpu_mem_usage is not None:
        options["low_cpu_mem_usage"] = low_cpu_mem_usage
    return options


def _quantization(settings: Mapping[str, Any]) -> Any:
    """A quantization config of diffusers, from plain values."""
    options = dict(settings)
    name = str(options.pop("type", None))
    kind = getattr(diffusers, name, None)
    if kind is None or not name.endswith("Config"):
        raise ValueError(f"quantization.type must be a quantization config, got {name!r}")
    nested = options.get("quant_type")
    try:
        if isinstance(nested, Mapping):  # torchao's own config
            inner = dict(nested)
            configs = import_module("torchao.quantization")
            options["quant_type"] = getattr(configs, inner.pop("type"))(**inner)
        return kind(**options)
    except (ImportError, AttributeError, TypeError) as error:
        raise ValueError(f"quantization {dict(settings)} cannot be used: {error}") from error


def _load_scheduler(model: ModelSource) -> Any:
    """The noise schedule that the model was trained with.

    Folders name a sampler (PNDM, Euler, ...), whose ``add_noise`` may scale latents in its own
    way; each sampler's config holds the betas that the DDPM forward process needs.
    """
    name = model.index["scheduler"][1]
    scheduler = getattr(diffusers, name) if "FlowMatch" in name else DDPMScheduler
    return scheduler.from_pretrained(model.source, subfolder="scheduler", **model.loading)
