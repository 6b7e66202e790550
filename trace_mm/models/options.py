"""What models take of the options that they are given, whether they are built or described."""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

NOT_CALIBRATED = (1.0, 0.0)
"""Scale and offset of a student's logits that leave them as they are."""

PAPER_TIMESTEPS = tuple(range(0, 1000, 100))
PAPER_OPTIONS: Mapping[str, Any] = MappingProxyType(
    {
        "timesteps": PAPER_TIMESTEPS,
        "divergence": "kl",
        "boundary_divergence": "kl",
        "noise_draws": 1,
        "region_cell": 1,
        "walk_steps": 1,
    }
)
"""What the paper does; ``size`` is the backbone's native one."""


def check_preset(preset: str | None) -> None:
    """Refuse a preset that is not known.

    Raises:
        ValueError: if it is neither None nor ``"paper"``.
    """
    if preset not in (None, "paper"):
        raise ValueError(f"preset must be 'paper' or None, got {preset!r}")


def teacher_options(
    given: Mapping[str, Any], recommended: Mapping[str, Any], native_size: Callable[[], int | None]
) -> dict[str, Any]:
    """Those options of a teacher that are not the same for all backbones, as it takes them.

    Args:
        given: options by name; None stands for what is recommended.
        recommended: of the backbone's folder (:func:`trace_mm.diffusion.backbone_settings`).
        native_size: asked for the backbone's, where nothing else says the size; None if unknown.

    Returns:
        All of :data:`PAPER_OPTIONS`, and ``size``.

    Raises:
        ValueError: if one is out of range.
    """
    known = {**PAPER_OPTIONS, **recommended, **{k: v for k, v in given.items() if v is not None}}
    chosen = {name: known[name] for name in PAPER_OPTIONS}
    chosen["timesteps"] = tuple(chosen["timesteps"])
    chosen["size"] = native_size() if known.get("size") is None else known["size"]
    check_reading(chosen["size"], chosen["region_cell"], chosen["walk_steps"])
    return chosen


def timesteps_read(timestep: int | str, timesteps: Sequence[int]) -> tuple[int, ...]:
    """The timesteps at which a teacher may read edges: those of the search, or the one.

    Raises:
        ValueError: if ``timestep`` is neither ``"iep"`` nor an integer.
    """
    if timestep == "iep":
        return tuple(timesteps)
    if isinstance(timestep, bool) or not isinstance(timestep, int):
        raise ValueError(f"timestep must be 'iep' or an integer, got {timestep!r}")
    return (timestep,)


class Shown(Protocol):
    """What a student must know of its backbone: loaded, or only its configs."""

    @property
    def native_size(self) -> int | None:
        """Side in pixels of the square images that it was trained on; None if unknown."""
        ...

    @property
    def least_noisy_timestep(self) -> int | None:
        """The smallest timestep at which there is some noise; None if unknown."""
        ...


def student_options(given: Mapping[str, Any], backbone: Shown) -> dict[str, Any]:
    """``timestep`` and ``size`` of a student as it takes them.

    Args:
        given: these options by name, and ``preset``; None stands for what is usual.
        backbone: asked only for what is not given.
    """
    timestep, size = given.get("timestep"), given.get("size")
    if timestep is None:
        timestep = 0 if given.get("preset") == "paper" else backbone.least_noisy_timestep
    return {"timestep": timestep, "size": backbone.native_size if size is None else size}


def check_calibration(given: Sequence[float] | None) -> tuple[float, float]:
    """Scale and offset of a student's logits; 1 and 0 if none are given.

    Raises:
        ValueError: if they are not two numbers, or the scale is not positive.
    """
    if given is None:
        return NOT_CALIBRATED
    if len(given) != 2 or not all(map(math.isfinite, given)) or not given[0] > 0:
        raise ValueError(f"calibration must be a positive scale and an offset, got {given}")
    return float(given[0]), float(given[1])


def check_enlargement(given: float | None) -> float | None:
    """How many times as large, a side, an image is shown at most; None for no limit.

    Raises:
        ValueError: if it is below 1.
    """
    if given is not None and not given >= 1:
        raise ValueError(f"max_enlargement must be at least 1 or None, got {given}")
    return given


def check_key_cell(given: int) -> int:
    """Side in tokens of the cells to which layers attend that are not read.

    Raises:
        ValueError: if it is below 1.
    """
    if given < 1:
        raise ValueError(f"key_cell must be at least 1, got {given}")
    return given


def tile_side(tile: int | str | None, size: int) -> int | None:
    """Side in pixels of a tile; None for no tiles.

    Args:
        tile: as it is asked for: pixels, None, or "auto" for the size of an image.
        size: side in pixels of the square area at which an image is shown.

    Raises:
        ValueError: if it is none of these.
    """
    side = size if tile == "auto" else tile
    if side is not None and (isinstance(side, (bool, str)) or side < 1):
        raise ValueError(f"tile must be a number of pixels, 'auto' or None, got {tile!r}")
    return side


def check_reading(size: int | None, region_cell: int, walk_steps: int) -> None:
    """Refuse options of ``AttentionEdges`` that are out of range.

    Args:
        size: side in pixels; None if it is not known.
        region_cell: tokens a side.
        walk_steps: of the walk.

    Raises:
        ValueError: names the option.
    """
    if min(region_cell, walk_steps) < 1:
        raise ValueError(
            f"region_cell and walk_steps must be at least 1, got {region_cell} and {walk_steps}"
        )
    if size is not None and size < 1:
        raise ValueError(f"size must be at least 1, got {size}")
