"""Semantic maps of a folder of images, from scores of classes and instance edges."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trace_mm.jobs.edge_sources import EdgeSource
from trace_mm.jobs.panoptic_inputs import find_inputs
from trace_mm.jobs.places import semantic_places
from trace_mm.jobs.semantic import UNSCORED, SemanticJob
from trace_mm.refinement.image_maps import ImageMaps
from trace_mm.refinement.score_maps import SCORE_SUFFIXES
from trace_mm.refinement.score_propagation import ScorePropagation
from trace_mm.runs.engine import check_places, run
from trace_mm.runs.executors import Executor, chosen
from trace_mm.runs.group import note_once
from trace_mm.runs.summary import RunSummary


@dataclass(frozen=True, repr=False)
class SemanticSummary(RunSummary):
    """What a run did.

    Attributes:
        unscored: names of images without a score map, which get no semantic map.
        unused_maps: how many score maps have no image.
        classes: how many images have scores of how many classes, background counted.
    """

    unscored: Sequence[str] = ()
    unused_maps: int = 0
    classes: Mapping[int, int] = field(default_factory=dict)

    def describe(self, out: object) -> list[str]:
        """Lines for the person who has run it."""
        counts = ", ".join(str(number) for number in self.classes)
        total = (
            f"{sum(self.classes.values())} semantic maps of {counts or 'no'} classes, "
            f"{len(self.failed)} images failed, {len(self.unscored)} have no score map, "
            f"{self.unused_maps} score maps have no image: {out}"
        )
        return [*super().describe(out), total]


def make_semantic_maps(
    images: str | os.PathLike[str],
    scores: str | os.PathLike[str],
    out: str | os.PathLike[str],
    edges: EdgeSource | None,
    refiner: ScorePropagation,
    *,
    batch_size: int = 1,
    workers: int = 0,
    overwrite: bool = False,
    show_progress: bool = True,
    executor: Executor | None = None,
) -> SemanticSummary:
    """Refine scores by instance edges, and take the best class of each pixel (App. E.3).

    Written are ``semantic/<stem>.png``, palette images of class numbers, of 16 bits where there are
    more than 255, and ``manifest.jsonl`` with what became of each image. A run that was interrupted
    goes on where it stopped. Started by torchrun, the processes share the images.

    Args:
        images: folder, which is searched with its subfolders.
        scores: folder of ``<stem>.npz``, ``.npy`` or ``.png``, see
            :func:`trace_mm.refinement.score_maps.read_scores`. Images without scores get no map.
        out: folder to write, made if needed.
        edges: where edges come from; None decides scores as they are. For workers in other
            processes it must be possible to pickle it.
        refiner: refines scores and decides.
        batch_size: how many images ``edges`` is given at a time.
        workers: processes of this machine; 0 means this one.
        overwrite: forget what an earlier run has done.
        show_progress: draw a progress bar on stderr.
        executor: where the work is done, instead of in ``workers``.

    Returns:
        What was done, the same in all processes.

    Raises:
        FileNotFoundError: if an input does not exist.
        ValueError: if an option is bad, an earlier run had other settings, or another run is
            writing to the folder. What is done so far is kept.
        OSError: if a result cannot be written.
    """
    executor = chosen(executor, workers)
    folders = () if edges is None else edges.folders()
    check_places(semantic_places(images, scores, out, folders))
    found = find_inputs(images, ImageMaps(scores, SCORE_SUFFIXES, "score map"))
    if edges is not None:
        edges.expect(found.with_map(), found.names)
    for remark in found.notes:
        note_once(remark)
    job = SemanticJob(found, Path(out), edges, refiner)
    result = run(
        job,
        executor,
        batch_size=batch_size,
        overwrite=overwrite,
        show_progress=show_progress,
        unsaid=UNSCORED,
    )
    with result.journal() as journal:
        records = (journal.record(number) for number in range(len(job.keys)))
        classes = Counter(one.result["classes"] for one in records if one and one.result)
    remarks = []
    if len(classes) > 1:
        told = ", ".join(f"{number} in {count} images" for number, count in sorted(classes.items()))
        remarks.append(f"{scores}: numbers of classes differ, so that ids may: {told}")
    return SemanticSummary(
        done=result.done,
        skipped=result.skipped,
        failed=result.failed,
        remarks=remarks,
        unscored=found.without_map(),
        unused_maps=found.unused_maps,
        classes=dict(sorted(classes.items())),
    )
