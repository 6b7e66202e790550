"""What of the backbones of the catalogue is on this machine."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec

from trace_mm.catalogue import CATALOGUE, TIMM_PREFIX, Backbone
from trace_mm.diffusion import shipped_models
from trace_mm.diffusion.null_text_files import cache_path
from trace_mm.diffusion.variants import WEIGHT_NAME
from trace_mm.files.hub import downloaded_files

_OF_DIFFUSERS = rf"(?:unet|transformer)/diffusion_pytorch_model{WEIGHT_NAME}(?:safetensors|bin)"
_OF_TIMM = rf"model{WEIGHT_NAME}safetensors|pytorch_model\.bin"
_OF_TRANSFORMERS = rf"model{WEIGHT_NAME}safetensors"


@dataclass(frozen=True)
class BackboneState:
    """A backbone and what of it is here.

    Attributes:
        name: for ``--backbone``.
        parameters: in billions; None for a shipped model.
        size: side in pixels of the images that it is shown; None for a shipped model, whose
            folder says so.
        license: of the weights.
        source: hub id, or "this package".
        here: what is here, in words; "-" for nothing.
    """

    name: str
    parameters: float | None
    size: int | None
    license: str
    source: str
    here: str


def list_backbones() -> list[BackboneState]:
    """The shipped backbones and those of the catalogue; asks no hub."""
    shipped = [
        BackboneState(name, None, None, "Apache-2.0", "this package", "weights, null text")
        for name in shipped_models()
    ]
    files = downloaded_files()
    return shipped + [
        _state(entry, files.get(entry.repository, set())) for entry in CATALOGUE.values()
    ]


def _state(entry: Backbone, files: set[str]) -> BackboneState:
    return BackboneState(
        entry.name,
        entry.parameters,
        entry.size,
        entry.license,
        entry.repository + (" (gated)" if entry.gated else ""),
        ", ".join(_here(entry, files)) or "-",
    )


def _here(entry: Backbone, files: set[str]) -> Iterable[str]:
    if _is_timm(entry) and find_spec("timm") is None:
        yield "no timm"
    weights = weights_here(entry, files)
    if weights:
        yield weights
    if entry.is_diffusion and cache_path(entry.pretrained, None).is_file():
        yield "null text"


def weights_here(entry: Backbone, files: Iterable[str]) -> str:
    """What is there of the weights of a denoiser or a vision tower, in words.

    Args:
        entry: whose weights.
        files: of its hub id that are there, such as ``unet/diffusion_pytorch_model.safetensors``.

    Returns:
        "weights" if all of the plain ones are there, which its name loads; "weights (fp16)" if
        only those of a variant are; "part of the weights" if each kind lacks some numbered part;
        "" if there are none.
    """
    names = _OF_TIMM if _is_timm(entry) else _OF_TRANSFORMERS
    if entry.is_diffusion:
        names = _OF_DIFFUSERS
    parts: dict[tuple[str, str, str], set[str]] = {}
    for match in filter(None, (re.fullmatch(names, file) for file in files)):
        number, total = match[1] or match[4] or "1", match[2] or match[5] or "1"
        kind = (match["variant"] or "", total, match[0].rpartition(".")[2])
        parts.setdefault(kind, set()).add(number)
    whole = {variant for (variant, total, _), found in parts.items() if len(found) == int(total)}
    if not whole:
        return "part of the weights" if parts else ""
    return "weights" if "" in whole else f"weights ({', '.join(sorted(whole))})"


def _is_timm(entry: Backbone) -> bool:
    return entry.pretrained.startswith(TIMM_PREFIX)
