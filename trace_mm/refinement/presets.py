"""Settings of the refinement by the name of a preset, and their ranges."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_OURS: Mapping[str, Any] = {
    "threshold": 0.2,
    "radius": 5,
    "beta": 10.0,
    "steps": 256,
    "merge_iou": 0.5,
    "resolution": "auto",
    "level": 0.5,
    "min_probability": 0.25,
    "min_fragment": 16,
    "small_fragment": 150,
    "small_evidence": 0.95,
    "min_enclosure": 0.5,
    "min_border": 0.9,
    "weak_share": 0.5,
    "min_gain": 0.5,
    "split_parts": False,
}
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "photos": {**_OURS, "min_border": 0.5, "weak_share": 0.1},
        "scenes": _OURS,
        "paper": {
            "threshold": 0.5,
            "radius": 5,
            "beta": 10.0,
            "steps": 256,
            "merge_iou": 0.5,
            "resolution": "image",
            "level": 0.5,
            "split_parts": True,
        },
    }
)
"""Settings of :class:`BoundaryGuidedPropagation` where they are not given, by preset."""

RANGES: Mapping[str, tuple[float, float]] = {
    "threshold": (0, 0.999),
    "merge_iou": (0, 1),
    "level": (1e-6, 1),
    "min_probability": (0, 1),
    "min_fragment": (1, 1e9),
    "small_fragment": (1, 1e9),
    "small_evidence": (0, 1),
    "min_enclosure": (0, 1),
    "min_border": (0, 1),
    "weak_share": (0, 1),
    "min_gain": (0, 1),
    "radius": (1, 64),
    "beta": (1e-6, 1e6),
    "steps": (0, 10**6),
    "resolution": (8, 4096),
}
