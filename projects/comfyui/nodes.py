"""Nodes for ComfyUI: a model, edges of images, masks of images.

Images are float tensors (B, H, W, 3) in [0, 1], masks (N, H, W), as ComfyUI has them.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trace_mm.apis import TraceInferencer
from trace_mm.diffusion import shipped_students
from trace_mm.segments import EdgeSegments
from trace_mm.structures import edges_of
from trace_mm.visualization.segments import draw_segments

CATEGORY = "TRACE"
_MODEL = "TRACE_MODEL"  # the type of what goes from node to node


class TraceModel:
    """Chooses and loads what finds edges: a shipped student, or a folder or hub id."""

    CATEGORY = CATEGORY
    RETURN_TYPES = (_MODEL,)
    RETURN_NAMES = ("model",)
    FUNCTION = "load"
    DESCRIPTION = "A model that finds instance edges, shipped with trace_mm or your own."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What the node is given."""
        size = {"default": 0, "min": 0, "max": 2048, "step": 32}
        return {
            "required": {
                "name": (sorted(shipped_students(), reverse=True),),
                "size": ("INT", {**size, "tooltip": "side at which it sees images; 0: its own"}),
            },
            "optional": {
                "folder": ("STRING", {"default": "", "tooltip": "a folder or hub id, instead"}),
            },
        }

    def load(self, name: str, size: int = 0, folder: str = "") -> tuple[TraceInferencer]:
        """The model, on the GPU if there is one."""
        source = folder.strip() or name
        return (TraceInferencer(source, size=size or None, show_progress=False),)


class TraceEdges:
    """Draws the instance edges of images, for ControlNet or to look at."""

    CATEGORY = CATEGORY
    RETURN_TYPES = ("IMAGE", "MASK")
    RETURN_NAMES = ("edges", "edge_mask")
    FUNCTION = "find"
    DESCRIPTION = "White edges where one object ends and the next begins."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What the node is given."""
        strength = {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.05}
        tooltip = "weaker edges are left out, others are drawn in full; 0 draws all as they are"
        return {
            "required": {
                "model": (_MODEL,),
                "image": ("IMAGE",),
                "threshold": ("FLOAT", {**strength, "tooltip": tooltip}),
            }
        }

    def find(
        self, model: TraceInferencer, image: Tensor, threshold: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Edges (B, H, W, 3), and the same as masks (B, H, W)."""
        samples = model.predict_images([_as_photo(one) for one in image])
        edges = np.stack([edges_of(sample) for sample in samples])  # (B, H, W)
        if threshold > 0:
            edges = (edges >= threshold).astype(np.float32)
        found = torch.from_numpy(edges)
        return found.unsqueeze(-1).repeat(1, 1, 1, 3), found


class TraceMasks:
    """Finds the masks that edges enclose, best first."""

    CATEGORY = CATEGORY
    RETURN_TYPES = ("MASK", "IMAGE")
    RETURN_NAMES = ("masks", "overlay")
    FUNCTION = "find"
    DESCRIPTION = "Masks of things, of any class; without labels and prompts."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What the node is given."""
        score = {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.01}
        return {
            "required": {
                "model": (_MODEL,),
                "image": ("IMAGE",),
                "top": ("INT", {"default": 20, "min": 1, "max": 100}),
                "min_score": ("FLOAT", score),
            }
        }

    def find(
        self, model: TraceInferencer, image: Tensor, top: int = 20, min_score: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Masks (N, H, W) of all images, one after the other, and overlays (B, H, W, 3)."""
        masks, overlays = [], []
        for one in image:
            found = segments_of(model, _as_photo(one), top, min_score)
            masks.append(found[0])
            overlays.append(found[1])
        return torch.cat(masks), torch.stack(overlays)


def segments_of(
    model: TraceInferencer, photo: NDArray[np.float32], top: int, min_score: float
) -> tuple[Tensor, Tensor]:
    """Masks (N, H, W) of a photo (H, W, 3), and the photo with them.

    A photo without masks has an empty one, since other nodes want at least one.
    """
    (sample,) = model.predict_images([photo])
    found = EdgeSegments(number=top)(edges_of(sample))
    scores = np.ones(len(found)) if found.scores is None else found.scores
    masks = found.masks[scores >= min_score]
    overlay = torch.from_numpy(draw_segments(photo, masks).astype(np.float32) / 255)
    if not len(masks):
        masks = np.zeros((1, *photo.shape[:2]), dtype=bool)
    return torch.from_numpy(masks.astype(np.float32)), overlay


def _as_photo(image: Tensor) -> NDArray[np.float32]:
    """An image of ComfyUI, (H, W, C), as our models take it."""
    return image[..., :3].cpu().clamp(0, 1).float().numpy()


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "TraceModel": TraceModel,
    "TraceEdges": TraceEdges,
    "TraceMasks": TraceMasks,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "TraceModel": "TRACE model",
    "TraceEdges": "TRACE instance edges",
    "TraceMasks": "TRACE masks",
}
