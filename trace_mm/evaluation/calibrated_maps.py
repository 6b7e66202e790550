"""What calibration needs of files: edges beside true borders, and folders of maps written anew."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.evaluation.calibration import calibrated, edge_evidence
from trace_mm.files.edge_maps import MAP_SUFFIXES, read_edge_map, write_edge_map
from trace_mm.runs.progress import watched

Evidence = tuple[NDArray[np.float32], NDArray[np.bool_]]
"""Values of edge pixels and whether each is a border, both (n,)."""


def joined(evidence: Iterable[Evidence]) -> Evidence:
    """The evidence of several images as one."""
    values, true = zip(*evidence, strict=True)
    return np.concatenate(values), np.concatenate(true)


def evidence_of(model: Any, item: dict[str, Any], tolerance: float = 0.0075) -> Evidence:
    """Evidence of one item of a dataset with ``gt_edges``; see :func:`edge_evidence`.

    Args:
        model: an edge model.
        item: ``inputs`` and ``data_samples``, which gets ``pred_edges``.
        tolerance: as a fraction of the image's diagonal.
    """
    sample = item["data_samples"]
    edges = model([item["inputs"]], [sample], mode="predict")[0].pred_edges.cpu().numpy()
    return edge_evidence(edges, sample.gt_edges, tolerance)


def calibrate_maps(folder: Path, out: Path, scale: float, offset: float) -> int:
    """Write all maps of a folder anew, calibrated, as PNG of 16 bits; returns how many.

    Args:
        folder: of the maps, with subfolders.
        out: where they go, by the same names.
        scale: of the logits.
        offset: likewise.

    Raises:
        ValueError: if a map cannot be read; names it.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix in MAP_SUFFIXES]
    for path in watched(paths, unit="map"):
        edges = calibrated(read_edge_map(path), scale, offset)
        write_edge_map(out / path.relative_to(folder).with_suffix(".png"), edges)
    return len(paths)
