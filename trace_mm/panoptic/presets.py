"""Settings of the labels by the name of a preset, and their ranges."""

from collections.abc import Mapping
from typing import Any

_OURS: Mapping[str, Any] = {
    "threshold": 0.2,
    "gap": 3,
    "radius": 5,
    "beta": 5,
    "steps": 256,
    "merge_iou": 0.5,
    "resolution": 128,
    "level": 0.5,
    "min_fragment": 49,
    "enclosed": 0.8,
    "min_border": 0.0,
    "weak_share": 0.1,
    "join": 0.0,
    "join_reach": 0.05,
    "min_area": 16,
    "within_class": True,
}
LABELER_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "photos": {**_OURS, "min_border": 0.5, "join": 0.1},
    "scenes": _OURS,
    "paper": {
        "threshold": 0.5,
        "gap": 0,
        "radius": 5,
        "beta": 10,
        "steps": 256,
        "merge_iou": 0.5,
        "resolution": 4096,
        "level": 0.5,
        "min_fragment": 0,
        "enclosed": 1,
        "min_border": 0,
        "weak_share": 0,
        "join": 0,
        "join_reach": 0,
        "min_area": 0,
        "within_class": False,
    },
}
"""Settings of :class:`PanopticLabeler` by the name of a preset.

"photos" was chosen on photos and "scenes" on drawn scenes, of which none is in a test;
``tools/benchmark/label_presets.py`` chooses anew.
"""

RANGES: Mapping[str, tuple[float, float]] = {
    "threshold": (0, 0.999),
    "gap": (0, 64),
    "radius": (1, 64),
    "beta": (1e-6, 1e6),
    "steps": (0, 10**6),
    "merge_iou": (0, 1),
    "resolution": (8, 4096),
    "level": (1e-6, 1),
    "min_fragment": (0, 10**6),
    "enclosed": (0, 1),
    "min_border": (0, 1),
    "weak_share": (0, 1),
    "join": (0, 0.999),
    "join_reach": (0, 1),
    "min_area": (0, 10**6),
    "within_class": (False, True),
}
