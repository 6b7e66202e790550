"""The three methods by name, with their settings, and the cutting of one image in a worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trace_mm.generators.backbones import FeatureSource, feature_settings, is_diffusion
from trace_mm.generators.maskcut import MaskCutSettings, maskcut
from trace_mm.generators.patch_masks import PatchMasks
from trace_mm.generators.promerge import ProMergeSettings, promerge
from trace_mm.generators.tokencut import TokenCutSettings, tokencut
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.runs.threads import one_thread

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Method:
    """A mask generator.

    Attributes:
        run: from features (h, w, C) and settings to masks.
        settings: the class of its settings; its defaults are the paper's, for DINO.
        diffusion: settings that differ for diffusion features (README).
    """

    run: Callable[[Tensor, Any], PatchMasks]
    settings: type
    diffusion: dict[str, Any]


METHODS = {
    "maskcut": Method(maskcut, MaskCutSettings, {"threshold": 0.65}),
    "tokencut": Method(tokencut, TokenCutSettings, {"threshold": 0.65}),
    # No diffusion feature has a negative entry, so that all similarities are higher than DINO's.
    "promerge": Method(
        promerge,
        ProMergeSettings,
        {"threshold": 0.65, "background_similarity": 0.4, "merge_similarity": 0.5},
    ),
}


def method_settings(name: str, diffusion: bool, changes: dict[str, Any]) -> Any:
    """The settings of a method for a kind of backbone, with changes.

    Raises:
        TypeError: if the method has no such setting.
    """
    method = METHODS[name]
    return method.settings(**{**(method.diffusion if diffusion else {}), **changes})


def find_masks(name: str, features: Tensor, settings: Any, size: tuple[int, int]) -> InstanceMasks:
    """The masks of one image; uses one thread.

    Args:
        name: of the method.
        features: (h, w, C).
        settings: of the method.
        size: (H, W) of the image.

    Returns:
        Those that hold a pixel, by falling score; labels are all 1.

    Raises:
        ValueError: if the features are not finite or too few.
    """
    with one_thread():  # so that rounding is the same everywhere
        masks = METHODS[name].run(features, settings)
    large = masks.at_size(size)
    order = sorted(range(len(large)), key=lambda number: -masks.scores[number])
    kept = np.array([number for number in order if large[number].any()], dtype=np.int64)
    return InstanceMasks(large[kept], np.ones(len(kept), dtype=np.int64), masks.scores[kept])


@dataclass(frozen=True)
class Generator:
    """What makes masks of an image.

    Attributes:
        method: a name in ``METHODS``.
        options: its settings.
        features: what it works on.
    """

    method: str
    options: Any
    features: FeatureSource

    def describe(self) -> dict[str, Any]:
        """All that masks depend on, as JSON values."""
        features = self.features.describe()
        return {"method": self.method, **asdict(self.options), "features": features}


def make_generator(
    method: str,
    backbone: str,
    *,
    settings: dict[str, Any] | None = None,
    features: dict[str, Any] | None = None,
    size: int | None = None,
    checkpoint: Path | None = None,
    device: str = "cpu",
) -> Generator:
    """A method on a backbone, which is not loaded yet.

    Args:
        method: a name in ``METHODS``.
        backbone: see :class:`trace_mm.generators.FeatureSource`, also for the last three.
        settings: of the method, where they differ from its defaults.
        features: settings of the features, likewise.
        size: side of the square whose area images are brought to.
        checkpoint: local weights.
        device: where the backbone computes.

    Raises:
        ValueError: if there is no such method or setting, or a value is wrong.
    """
    if method not in METHODS:
        raise ValueError(f"the method must be one of {', '.join(METHODS)}, got {method!r}")
    options = _checked(method_settings, method, is_diffusion(backbone), settings or {})
    read = _checked(feature_settings, backbone, features or {})
    return Generator(method, options, FeatureSource(backbone, read, size, checkpoint, device))


def _checked(make: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return make(*arguments)
    except TypeError as error:  # an unknown setting
        raise ValueError(f"{arguments[0]}: {error}") from error
