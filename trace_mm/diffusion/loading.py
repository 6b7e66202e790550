"""Loads a diffusion backbone from a diffusers folder, a hub id or a shipped name."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trace_mm.attention import select_layers
from trace_mm.diffusion.backbone import OFFLOADS, DiffusionBackbone
from trace_mm.diffusion.families import attention_layers
from trace_mm.diffusion.pretrained import backbone_settings
from trace_mm.diffusion.prompts import PromptEmbeddings, Prompts
from trace_mm.diffusion.source import ModelSource, is_flow_scheduler, open_model
from trace_mm.diffusion.variants import load_part, only_variant, weight_variants
from trace_mm.files.hub import readable_hub_errors
from trace_mm.ops.dtypes import as_dtype


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
    prompts: str | Path | None = None,
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
        variant: of the denoiser's weight files, such as ``"fp16"``; other parts of the model are
            loaded in it where they have it.
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
        prompts: a JSON file of a prompt by image name, see
            :class:`trace_mm.diffusion.prompts.Prompts`; every image that is shown must have one.
            Those that are not in the cache are embedded now, by the model's text encoders on the
            CPU (``tools/cache_null_text.py --prompts`` does it beforehand, also on a GPU). None is
            the empty prompt for all images.

    Returns:
        The backbone, frozen.

    Raises:
        FileNotFoundError: if there is no such model, or the hub does not give it; says why.
        ValueError: if the denoiser is of an unsupported class, no layer matches, or an option is
            wrong.
    """
    from diffusers import AutoencoderKL  # slow to import

    if offload not in (None, *OFFLOADS):
        raise ValueError(f"offload must be one of {', '.join(OFFLOADS)}, got {offload!r}")
    options: dict[str, Any] = {
        "torch_dtype": as_dtype(dtype),
        **_memory_options(quantization, low_cpu_mem_usage),
    }
    texts = None if prompts is None else Prompts(prompts)
    model = open_model(pretrained, revision, local_files_only)
    with readable_hub_errors(model.source, revision):
        null_text = model.null_text(variant)
        embeddings = None if texts is None else _embed(model, variant, null_text, texts)
        denoiser = _load_denoiser(model, variant, options)
        vae = None
        if model.vae is not None:
            vae = load_part(
                AutoencoderKL.from_pretrained,
                model.source,
                "vae",
                variant,
                torch_dtype=torch.float32,
                **model.loading,
            )
            # On a CPU it is a fifth faster where a pixel's channels lie side by side.
            vae = vae.to(memory_format=torch.channels_last)
        scheduler = _load_scheduler(model)
    chosen = attention_layers(denoiser, null_text["prompt_embeds"].shape[1])
    if layers is not None:
        chosen = select_layers(chosen, layers)
    return DiffusionBackbone(denoiser, scheduler, vae, null_text, chosen, offload, embeddings).to(
        device
    )


def _embed(
    model: ModelSource, variant: str | None, null_text: Mapping[str, Tensor], prompts: Prompts
) -> PromptEmbeddings:
    """Embeddings of all prompts, which are in the cache afterwards."""
    stored = model.prompt_files(variant)
    stored.make(prompts.texts)
    vary = model.family.prompts_vary_in_length
    return PromptEmbeddings(prompts, null_text, stored.read, vary)


def _load_denoiser(model: ModelSource, variant: str | None, options: dict[str, Any]) -> Any:
    import diffusers  # slow to import

    folder = Path(model.source) / model.folder
    if variant is None:
        variant = only_variant(folder)
    try:
        return getattr(diffusers, model.denoiser).from_pretrained(
            model.source, subfolder=model.folder, variant=variant, **model.loading, **options
        )
    except OSError as error:
        found = weight_variants(folder)
        if not found or variant in found:
            raise
        names = " and ".join("those of no variant" if one is None else one for one in found)
        raise FileNotFoundError(
            f"{folder}: there are no weights of variant {variant!r}, only {names}: "
            "say which by backbone=dict(variant=...) in a config"
        ) from error


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
    import diffusers  # slow to import

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
    import diffusers  # slow to import

    name = model.scheduler if is_flow_scheduler(model.scheduler) else "DDPMScheduler"
    scheduler = getattr(diffusers, name)
    return scheduler.from_pretrained(model.source, subfolder="scheduler", **model.loading)
