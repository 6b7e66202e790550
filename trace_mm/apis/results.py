"""How a prediction becomes files: same prediction, same bytes, and never half a file."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from trace_mm.apis.places import EDGE_FOLDERS
from trace_mm.files import write_atomically
from trace_mm.structures import EdgeDataSample, edges_of
from trace_mm.visualization import draw_overlay

SAVE_KINDS = {"png": ".png", "npz": ".npz", "overlay": ".png"}
"""What can be saved, with the suffix of its files."""


def check_save_kinds(save: Sequence[str]) -> tuple[str, ...]:
    """The kinds to save, in a fixed order.

    Raises:
        ValueError: if there is none, or an unknown one.
    """
    chosen = (save,) if isinstance(save, str) else tuple(save)
    unknown = [kind for kind in chosen if kind not in SAVE_KINDS]
    if unknown or not chosen:
        raise ValueError(f"save must be some of {', '.join(SAVE_KINDS)}, got {list(chosen)}")
    return tuple(kind for kind in SAVE_KINDS if kind in chosen)


def result_paths(name: str, save: Sequence[str]) -> dict[str, str]:
    """Paths of an image's results, relative to the output folder, by kind."""
    return {kind: f"{EDGE_FOLDERS[kind]}/{name}{SAVE_KINDS[kind]}" for kind in save}


def encode_result(kind: str, sample: EdgeDataSample, image: NDArray[np.float32]) -> bytes:
    """The bytes of one result file.

    Args:
        kind: ``"png"``: edges as 8-bit grey, 255 is an edge. ``"npz"``: float32 ``edges`` (H, W) in
            [0, 1], ``timestep``, and the score curve as ``score_timesteps`` and ``scores``.
            ``"overlay"``: edges drawn over the image, 8-bit RGB PNG.
        sample: the prediction.
        image: float32 (H, W, 3) RGB in [0, 1].
    """
    edges = edges_of(sample)
    if kind == "png":
        return encode_png(edges_to_8_bit(edges))
    if kind == "overlay":
        return encode_png(draw_overlay(image, edges))
    buffer = io.BytesIO()  # numpy gives all members the same date
    np.savez_compressed(
        buffer,
        edges=edges,
        timestep=np.int64(sample.get("timestep", -1)),
        score_timesteps=np.array(list(scores_of(sample)), dtype=np.int64),
        scores=np.array(list(scores_of(sample).values()), dtype=np.float64),
    )
    return buffer.getvalue()


def scores_of(sample: EdgeDataSample) -> dict[int, float]:
    """A prediction's emergence scores by timestep; empty if there was no search."""
    return {int(step): float(score) for step, score in sample.get("scores", {}).items()}


def edges_to_8_bit(edges: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Edges (H, W) in [0, 1] as 0 to 255."""
    return np.rint(edges * 255).astype(np.uint8)


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG of uint8 grey (H, W) or RGB (H, W, 3)."""
    if pixels.ndim == 3:
        pixels = np.ascontiguousarray(pixels[:, :, ::-1])
    done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 6])
    if not done:
        raise ValueError(f"cannot encode pixels of shape {pixels.shape} as PNG")
    return data.tobytes()


def write_results(
    out_dir: Path,
    name: str,
    save: Sequence[str],
    sample: EdgeDataSample,
    image: NDArray[np.float32],
) -> dict[str, int]:
    """Write an image's results.

    Returns:
        The size in bytes of each file, by its path relative to ``out_dir``.
    """
    sizes = {}
    for kind, path in result_paths(name, save).items():
        data = encode_result(kind, sample, image)
        write_atomically(out_dir / path, data)
        sizes[path] = len(data)
    return sizes


def prediction_dict(name: str, sample: EdgeDataSample) -> dict[str, Any]:
    """What :class:`trace_mm.apis.TraceInferencer` returns for an image."""
    return {
        "name": name,
        "edges": edges_of(sample),
        "timestep": sample.get("timestep"),
        "scores": scores_of(sample),
    }
