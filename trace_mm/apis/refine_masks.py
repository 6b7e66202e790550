"""Another method's masks of a folder of images, refined and written as COCO instances."""

import os
from pathlib import Path

from trace_mm.jobs.edge_sources import EdgeSource
from trace_mm.jobs.places import refinement_places
from trace_mm.jobs.refinement import RefinementJob
from trace_mm.jobs.refinement_inputs import find_inputs
from trace_mm.jobs.refinement_summary import RefinementSummary
from trace_mm.refinement import BoundaryGuidedPropagation
from trace_mm.refinement.readers import open_masks
from trace_mm.runs.engine import check_places, run
from trace_mm.runs.executors import Executor, chosen
from trace_mm.runs.group import note_once


def refine_masks(
    masks: str | os.PathLike[str],
    images: str | os.PathLike[str],
    out: str | os.PathLike[str],
    edges: EdgeSource,
    refiner: BoundaryGuidedPropagation,
    *,
    format: str = "auto",
    annotations: str | os.PathLike[str] | None = None,
    allow_pickle: bool = False,
    crowds: str = "auto",
    scores: str | None = None,
    skip_bad: bool = False,
    show_dir: str | os.PathLike[str] | None = None,
    batch_size: int = 1,
    workers: int = 0,
    executor: Executor | None = None,
    overwrite: bool = False,
    show_progress: bool = True,
) -> RefinementSummary:
    """Refine masks and write them to ``out``; go on where an earlier run stopped.

    ``<out>.parts/manifest.jsonl`` records the settings and each image as it is done, with what was
    left out and why. ``out`` itself is written at the end, whole. It depends on the input and the
    settings only, and not on interruptions or workers. Pictures that an earlier run did not draw
    are drawn of the masks that it refined.

    Args:
        masks: file or folder of another method, see :func:`trace_mm.refinement.open_masks`.
        images: folder of the images, local or of a store (``s3://bucket/photos``).
        out: COCO JSON file to write.
        edges: where edges come from.
        refiner: what refines.
        format: of the masks, or "auto".
        annotations: a COCO file whose ``images`` tell names and ids; None for none.
        allow_pickle: read files that may run code, see :func:`trace_mm.refinement.open_masks`.
        crowds: what becomes of crowd regions: "auto", "keep" or "skip", see
            :class:`trace_mm.refinement.readers.MaskReader`.
        scores: "source", "constant" or "outline", see :class:`BoundaryGuidedPropagation`; None for
            what the refiner has.
        skip_bad: leave bad masks and records without an image out, and note them in the manifest.
        show_dir: folder for a picture of each image, ``<stem>.png``: before, edges, after. Images
            that differ in the suffix only keep it. None for none.
        batch_size: how many images ``edges`` is given at a time.
        workers: processes that find edges and refine; 0 means this one.
        executor: where images are processed, instead of in ``workers`` processes.
        overwrite: forget what an earlier run has done.
        show_progress: draw a progress bar on stderr.

    Returns:
        What was done.

    Raises:
        FileNotFoundError: if an input does not exist.
        ValueError: if a mask or option is bad, all masks are, an earlier run had other settings, or
            another run is writing the same file. What is done so far is kept.
        OSError: if a result cannot be written.
    """
    executor = chosen(executor, workers)
    if scores is not None:
        refiner = type(refiner)(**{**refiner.settings(), "scores": scores})
    check_places(  # before anything is read
        refinement_places(
            masks, images, out, edges=edges.folders(), annotations=annotations, show_dir=show_dir
        )
    )
    reader = open_masks(masks, format, allow_pickle, crowds)
    inputs = find_inputs(reader, images, annotations, skip_bad)
    job = RefinementJob(
        reader,
        inputs,
        images,
        Path(out),
        edges,
        refiner,
        annotations=None if annotations is None else Path(annotations),
        skip_bad=skip_bad,
        show_dir=None if show_dir is None else Path(show_dir),
    )
    check_places(job.places())  # before edges are missed
    edges.expect(inputs.names(), inputs.others)
    for remark in inputs.notes:  # before the bar, which would be on the same line
        note_once(remark)
    result = run(
        job,
        executor,
        batch_size=batch_size,
        overwrite=overwrite,
        show_progress=show_progress,
    )
    with result.journal() as journal:
        tally = job.tally(journal)
    return RefinementSummary(
        done=result.done,
        skipped=result.skipped,
        failed=result.failed,
        remarks=[*inputs.notes, *tally.remarks(refiner.scores)],
        told=inputs.notes,
        images=tally.images,
        masks=tally.masks,
        notes=tally.notes,
        empty=tally.empty,
        others=len(inputs.others),
    )
