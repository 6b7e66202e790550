"""Edges of many image files into a folder: resumable, and nothing is lost on the way."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trace_mm.apis.image_sources import ImageSource, ImageSources
from trace_mm.jobs.edges import EdgeJob, Predict
from trace_mm.runs.engine import run
from trace_mm.runs.executors import Executor
from trace_mm.runs.summary import RunSummary


@dataclass(frozen=True, repr=False)
class FolderRunSummary(RunSummary):
    """What a run did.

    Attributes:
        done: names of the images whose results were written now.
        skipped: names of those that were finished before.
        failed: reason by path of those that could not be processed.
    """

    failed: Mapping[str, str] = field(default_factory=dict)


def run_folder(
    predict: Predict,
    sources: Sequence[ImageSource],
    out_dir: str | os.PathLike[str],
    *,
    settings: dict[str, Any],
    save: Sequence[str] = ("png",),
    batch_size: int = 1,
    overwrite: bool = False,
    show_progress: bool = True,
    executor: Executor | None = None,
) -> FolderRunSummary:
    """Write the edges of image files to ``out_dir``; go on where an earlier run stopped.

    Results are ``edges/NAME.png`` and what else ``save`` asks for (see
    :func:`trace_mm.jobs.edge_files.encode_result`), each put in place whole. ``manifest.jsonl``
    records the settings and every image. An image is skipped if it is recorded as done, its file
    has not changed, and its results are there in the recorded size. One that cannot be read is
    recorded with the reason, and the run goes on. Kinds of results that an earlier run did not save
    are made of what it saved, where that holds enough.

    Args:
        predict: float32 (H, W, 3) RGB images in [0, 1] to their predictions. A ValueError means
            that an image is at fault. For workers in other processes it must be possible to pickle
            it.
        sources: image files, see :func:`trace_mm.apis.expand_inputs`. Names that repeat are
            processed once.
        out_dir: made if needed.
        settings: everything that the results depend on, as JSON values.
        save: kinds of results.
        batch_size: how many images go to ``predict`` at a time; it does not change results.
        overwrite: remove the results of the folder's manifest first and start anew.
        show_progress: draw a progress bar on stderr.
        executor: where images are processed; None is in this process.

    Returns:
        What was done, skipped and failed.

    Raises:
        ValueError: if an option is wrong, an image would be written onto, the folder holds results
            of other settings or of other files, or another run is writing to it.
        OSError: if a result cannot be written.
    """
    if not isinstance(sources, ImageSources):
        sources = ImageSources(sources)
    job = EdgeJob(sources.files(), Path(out_dir), predict, settings, save)
    result = run(
        job,
        executor,
        batch_size=batch_size,
        overwrite=overwrite,
        show_progress=show_progress,
    )
    failed = {str(job.path(name)): reason for name, reason in result.failed.items()}
    return FolderRunSummary(result.done, result.skipped, failed)
