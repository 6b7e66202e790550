"""Variants of weight files, such as fp16, which a model's parts may or may not come in."""

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

_SHARD = r"(?:-(\d{5})-of-(\d{5}))?"
WEIGHT_NAME = rf"{_SHARD}(?:\.(?P<variant>\w+))?{_SHARD}\."
"""Regular expression of what stands between stem and suffix of a weight file's name. Groups: a
part's number and how many there are, twice, since versions of diffusers put them before or behind
the variant; and the variant."""

_WEIGHTS = re.compile(rf"(?:diffusion_pytorch_)?model{WEIGHT_NAME}(?:safetensors|bin)")


def load_part(
    load: Callable[..., Any], source: str, folder: str, variant: str | None, **options: Any
) -> Any:
    """A part of a model, in the variant that was asked for where the part has it.

    Args:
        load: ``from_pretrained`` of the part's class.
        source: diffusers folder or hub id.
        folder: of the part.
        variant: of the weight files.
        options: others of ``load``.
    """
    if variant is None:
        variant = only_variant(Path(source) / folder)
    try:
        return load(source, subfolder=folder, variant=variant, **options)
    except OSError:  # no such file, on disk or on the hub
        if variant is None:
            raise
        return load(source, subfolder=folder, **options)


def weight_variants(folder: Path) -> list[str | None]:
    """The variants in which a part's weights lie in a local folder; None is the plain one."""
    if not folder.is_dir():
        return []
    matches = (_WEIGHTS.fullmatch(path.name) for path in sorted(folder.iterdir()))
    return list(dict.fromkeys(match["variant"] for match in matches if match is not None))


def denoiser_variant(folder: Path) -> str | None:
    """The variant of a part's weights where there is no other; else None."""
    found = weight_variants(folder)
    return found[0] if len(found) == 1 else None


def only_variant(folder: Path) -> str | None:
    """The variant of a part's weights where there is no other, which is told; else None."""
    found = denoiser_variant(folder)
    if found is not None:
        warnings.warn(
            f"{folder}: the weights of variant {found} are read, there are no others", stacklevel=2
        )
    return found
