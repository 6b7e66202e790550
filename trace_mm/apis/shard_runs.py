"""Jobs on shards, as tar files of many images are called: a shard of results for each."""

import os
from collections.abc import Sequence
from typing import Any

from trace_mm.files.shard_names import ShardNames
from trace_mm.jobs.edge_shards import edge_shard_job
from trace_mm.jobs.edges import Predict
from trace_mm.runs.executors import Executor
from trace_mm.runs.shard_run import ShardSummary, run_shards

Shards = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def shard_names(shards: Shards) -> ShardNames:
    """Shards, as a pattern or several name them; see :class:`ShardNames`."""
    return ShardNames([shards] if isinstance(shards, (str, os.PathLike)) else shards)


def edges_of_shards(
    predict: Predict,
    shards: Shards,
    out: str | os.PathLike[str],
    *,
    settings: dict[str, Any],
    save: Sequence[str] = ("png",),
    image: str | None = None,
    batch_size: int = 1,
    overwrite: bool = False,
    show_progress: bool = True,
    executor: Executor | None = None,
) -> ShardSummary:
    """Write the edges of the images in shards; go on where an earlier run stopped.

    For each shard there is one of results, put in place whole, which is then done: its samples have
    the keys of the images and ``edges.png``, ``npz`` and ``overlay.png``, as ``save`` says, and
    ``json``, the record. ``trace_mm.json`` beside them records the settings. An image that cannot
    be read has a record with the reason and nothing else. Shards are the same bytes whoever writes
    them.

    Args:
        predict: see :func:`trace_mm.apis.run_folder`, also for the settings.
        shards: of images: paths or addresses, with braces (``"s3://bucket/{000..999}.tar"``) or
            without; see :class:`trace_mm.files.shard_names.ShardNames`.
        out: folder of the results, local or of a store; made if needed.
        settings: everything that the results depend on, as JSON values.
        save: kinds of results.
        image: extension of the image in each sample, such as ``"jpg"``; None for the only image.
        batch_size: how many images go to ``predict`` at a time; it does not change results.
        overwrite: remove the results of an earlier run first and start anew.
        show_progress: draw a progress bar on stderr.
        executor: where shards are processed; None is in this process.

    Returns:
        What was done, skipped and failed.

    Raises:
        ValueError: if an option is wrong, shards would be written onto, ``out`` holds results of
            other settings, or another run is writing to it.
        OSError: if a result cannot be written.
    """
    job = edge_shard_job(shard_names(shards), os.fspath(out), predict, settings, save, image)
    return run_shards(
        job,
        executor,
        batch_size=batch_size,
        overwrite=overwrite,
        show_progress=show_progress,
    )
