"""The three methods by name, with their settings, and the cutting of one image in a worker."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from projects.mask_generators.maskcut import MaskCutSettings, maskcut
from projects.mask_generators.patch_masks import PatchMasks
from projects.mask_generators.promerge import ProMergeSettings, promerge
from projects.mask_generators.tokencut import TokenCutSettings, tokencut
from trace_mm.files.coco import instance_annotation
from trace_mm.runs.threads import one_thread


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


def annotate(
    name: str, features: Tensor, settings: Any, size: tuple[int, int]
) -> list[dict[str, Any]]:
    """The COCO annotations of one image, without ids; uses one thread.

    Args:
        name: of the method.
        features: (h, w, C).
        settings: of the method.
        size: (H, W) of the image.

    Returns:
        One for each mask that holds a pixel, with ``score``, by falling score.

    Raises:
        ValueError: if the features are not finite or too few.
    """
    with one_thread():  # so that rounding is the same everywhere
        masks = METHODS[name].run(features, settings)
    large = masks.at_size(size)
    order = sorted(range(len(large)), key=lambda number: -masks.scores[number])
    return [
        {**instance_annotation(large[number]), "score": round(float(masks.scores[number]), 6)}
        for number in order
        if large[number].any()
    ]
