"""Score a folder of edge maps against a folder of annotations: no config, no images needed."""

from collections.abc import Sequence
from pathlib import Path

from trace_mm.console import note
from trace_mm.datasets.ground_truth import instance_borders, read_bsds_borders
from trace_mm.evaluation.counting_pool import CountingPool
from trace_mm.evaluation.edge_counts import CountingSettings
from trace_mm.evaluation.edge_scores import EdgeScores, summarize
from trace_mm.files.edge_maps import EdgeMaps
from trace_mm.files.id_maps import folder_numbering, read_id_map


def score_folders(
    edges: str | Path,
    truth: str | Path,
    tolerance: float = 0.0075,
    tolerances: Sequence[float] = (),
    suppress: bool = True,
    workers: int | None = None,
    progress: bool = False,
) -> EdgeScores:
    """Score edge maps by the BSDS protocol against annotations of the same stem.

    Args:
        edges: folder of ``<stem>.png``, ``.npz`` or ``.npy``; see ``EdgeMaps``.
        truth: folder of segment ids (``<stem>.png``, see ``read_id_map``) or of BSDS500 ground
            truth (``<stem>.mat``). Every file in it is scored.
        tolerance: matching radius as a fraction of the image's diagonal.
        tolerances: further radii for the curve of ODS over tolerance.
        suppress: False for maps that are thinned already.
        workers: processes to count in; None means one for each usable core, but no more than 8.
        progress: show a progress bar.

    Raises:
        FileNotFoundError: if a folder or an edge map is missing.
        ValueError: if a file cannot be read, or the sizes of a pair differ.
    """
    folder = Path(truth)
    if not folder.is_dir():
        raise FileNotFoundError(f"{truth}: no such folder of annotations")
    files = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".mat"))
    if not files:
        raise FileNotFoundError(f"{truth}: no .png or .mat file in this folder")
    told = folder_numbering([path for path in files if path.suffix == ".png"])
    if told:
        note(told)
    reader = EdgeMaps(edges)
    reader.expect([path.stem for path in files])
    others = tuple(extra for extra in tolerances if extra != tolerance)
    settings = CountingSettings(tolerances=(tolerance, *others), suppress=suppress)
    with CountingPool(settings, workers, progress) as pool:
        for path in files:
            if path.suffix == ".mat":
                targets = read_bsds_borders(path)
            else:
                targets = instance_borders(read_id_map(path).ids)[None]
            prediction = reader.read(path.stem, (targets.shape[1], targets.shape[2]))
            pool.submit(prediction, targets, name=str(path))
        counts = pool.results()
    return summarize(counts, settings)
