"""How a prediction becomes files: same prediction, same bytes, and never half a file."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trace_mm.files import write_atomically
from trace_mm.files.png import encode_png
from trace_mm.jobs.places import EDGE_FOLDERS
from trace_mm.visualization.overlay import draw_overlay

if TYPE_CHECKING:
    from trace_mm.structures import EdgeDataSample

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


def result_paths(name: str, save: Iterable[str]) -> dict[str, str]:
    """Paths of an image's results, relative to the output folder, by kind."""
    return {kind: f"{EDGE_FOLDERS[kind]}/{name}{SAVE_KINDS[kind]}" for kind in save}


def encode_result(kind: str, sample: EdgeDataSample, image: NDArray[np.float32]) -> bytes:
    """The bytes of one result file.

    Args:
        kind: ``"png"``: edges as 8-bit grey, 255 is an edge. ``"npz"``: float32 ``edges`` (H, W) in
            [0, 1], ``timestep``, and the score curve as ``score_timesteps`` and ``scores``.
            ``"overlay"``: edges, to 8 bits, drawn over the image, 8-bit RGB PNG.
        sample: the prediction.
        image: float32 (H, W, 3) RGB in [0, 1].
    """
    from trace_mm.structures import edges_of

    edges = edges_of(sample)
    if kind == "png":
        return encode_png(edges_to_8_bit(edges))
    if kind == "overlay":
        return encode_png(overlay_of(image, edges_to_8_bit(edges)))
    buffer = io.BytesIO()  # numpy gives all members the same date
    np.savez_compressed(
        buffer,
        edges=edges,
        timestep=np.int64(sample.get("timestep", -1)),
        score_timesteps=np.array(list(scores_of(sample)), dtype=np.int64),
        scores=np.array(list(scores_of(sample).values()), dtype=np.float64),
    )
    return buffer.getvalue()


def source_for(missing: Sequence[str], there: Sequence[str]) -> str | None:
    """The kind of stored result that the missing ones can be made of, without a model.

    Args:
        missing: kinds.
        there: kinds.
    """
    if "npz" in there:
        return "npz"
    return "png" if "png" in there and set(missing) == {"overlay"} else None


def encode_stored(kind: str, edges: NDArray[np.float32], image: NDArray[np.float32]) -> bytes:
    """The bytes of one result file, made of stored edges: the same as :func:`encode_result` gives.

    Args:
        kind: ``"png"`` or ``"overlay"``.
        edges: (H, W) in [0, 1], as ``"npz"`` holds them, or ``"png"`` for an overlay.
        image: float32 (H, W, 3) RGB in [0, 1].
    """
    pixels = edges_to_8_bit(edges)
    return encode_png(pixels if kind == "png" else overlay_of(image, pixels))


def overlay_of(image: NDArray[np.float32], edges: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Edges drawn over an image, from what the PNG holds, so that it can be drawn later too."""
    return draw_overlay(image, edges.astype(np.float32) / np.float32(255))


def scores_of(sample: EdgeDataSample) -> dict[int, float]:
    """A prediction's emergence scores by timestep; empty if there was no search."""
    return {int(step): float(score) for step, score in sample.get("scores", {}).items()}


def edges_to_8_bit(edges: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Edges (H, W) in [0, 1] as 0 to 255."""
    return np.rint(edges * 255).astype(np.uint8)


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
