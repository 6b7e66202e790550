"""What of the backbones of the catalogue is on this machine."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec

from trace_mm.catalogue import CATALOGUE, Backbone
from trace_mm.diffusion import shipped_models
from trace_mm.diffusion.null_text import cache_path
from trace_mm.files.hub import downloaded_files

_WEIGHTS = re.compile(r"\.(safetensors|bin)$")
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.(?:\w+\.)?(safetensors|bin)$")


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
    return shipped + [_state(entry) for entry in CATALOGUE.values()]


def _state(entry: Backbone) -> BackboneState:
    return BackboneState(
        entry.name,
        entry.parameters,
        entry.size,
        entry.license,
        entry.repository + (" (gated)" if entry.gated else ""),
        ", ".join(_here(entry)) or "-",
    )


def _here(entry: Backbone) -> Iterable[str]:
    if entry.pretrained.startswith("timm:") and find_spec("timm") is None:
        yield "no timm"
    folders = ("transformer/", "unet/") if entry.is_diffusion else ("",)
    files = downloaded_files(entry.repository)
    weights = {file for file in files if _WEIGHTS.search(file) and file.startswith(folders)}
    if weights:
        yield "weights" if has_all_shards(weights) else "part of the weights"
    if entry.is_diffusion and cache_path(entry.pretrained, None).is_file():
        yield "null text"


def has_all_shards(weights: Iterable[str]) -> bool:
    """Whether weight files that come in numbered parts are all there, or one comes whole.

    Args:
        weights: file names such as ``model-00001-of-00002.safetensors``.
    """
    parts: dict[str, set[str]] = {}
    for name in weights:
        match = _SHARD.search(name)
        if match is None:
            return True
        whole = f"{name[: match.start()]}-of-{match[2]}.{match[3]}"
        parts.setdefault(whole, set()).add(match[1])
    return any(len(found) == int(whole.split("-of-")[1][:5]) for whole, found in parts.items())
