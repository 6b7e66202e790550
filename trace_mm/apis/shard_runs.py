"""Jobs on shards, as tar files of many images are called: a shard of results for each."""

import os
from collections.abc import Sequence
from typing import Any, Unpack

from trace_mm.files.shard_names import ShardNames
from trace_mm.jobs.edge_shards import edge_shard_job
from trace_mm.jobs.edge_sources import EdgeSource
from trace_mm.jobs.edges import Predict
from trace_mm.jobs.panoptic_shards import panoptic_shard_job
from trace_mm.jobs.photo_masks import PhotoSegmenter
from trace_mm.jobs.refinement_shards import refinement_shard_job
from trace_mm.jobs.segmentation_shards import segmentation_shard_job
from trace_mm.panoptic import PanopticClasses, PanopticLabeler
from trace_mm.refinement import BoundaryGuidedPropagation
from trace_mm.runs.executors import RunOptions
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
    **how: Unpack[RunOptions],
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
        how: it is done, see :class:`trace_mm.runs.executors.RunOptions`.

    Returns:
        What was done, skipped and failed.

    Raises:
        ValueError: if an option is wrong, shards would be written onto, ``out`` holds results of
            other settings, or another run is writing to it.
        OSError: if a result cannot be written.
    """
    job = edge_shard_job(shard_names(shards), os.fspath(out), predict, settings, save, image)
    return run_shards(job, **how)


def segments_of_shards(
    segmenter: PhotoSegmenter,
    shards: Shards,
    out: str | os.PathLike[str],
    *,
    edges: ShardNames | None = None,
    image: str | None = None,
    **how: Unpack[RunOptions],
) -> ShardSummary:
    """Find the masks of the photos in shards; go on where an earlier run stopped.

    For each shard there is one of results, whose samples hold ``json``, the record with COCO
    annotations, and ``overlay.jpg``. :func:`trace_mm.jobs.merge.merge_shards` makes a COCO file of
    all.

    Args:
        segmenter: finds masks.
        shards: of photos, see :func:`edges_of_shards`.
        out: folder of the results, local or of a store.
        edges: shards that the segmenter's edges come from, if they are no model's.
        image: see :func:`edges_of_shards`.
        how: likewise.

    Returns:
        What was done, skipped and failed.

    Raises:
        ValueError: if an option is bad; or see :func:`edges_of_shards`.
        OSError: if a result cannot be written.
    """
    names = shard_names(shards)
    job = segmentation_shard_job(names, os.fspath(out), segmenter, edges, image)
    return run_shards(job, **how)


def refine_shards(
    images: Shards,
    masks: Shards,
    out: str | os.PathLike[str],
    edges: EdgeSource | ShardNames,
    refiner: BoundaryGuidedPropagation,
    *,
    crowds: str = "auto",
    skip_bad: bool = False,
    image: str | None = None,
    **how: Unpack[RunOptions],
) -> ShardSummary:
    """Refine the masks of images in shards; go on where an earlier run stopped.

    For each shard there is one of results, whose samples hold ``json``, the record with COCO
    annotations. :func:`trace_mm.jobs.merge.merge_shards` makes a COCO file of all.

    Args:
        images: shards, see :func:`edges_of_shards`.
        masks: shards called alike, whose samples have the keys of the images and their masks as
            ``masks.json`` or ``json``: a list of COCO annotations, or an object with
            ``annotations``. The shards of the images, if the masks are in these.
        out: folder of the results, local or of a store.
        edges: where edges come from, or shards that :func:`edges_of_shards` wrote.
        refiner: what refines.
        crowds: see :func:`trace_mm.apis.refine_masks.refine_masks`.
        skip_bad: likewise.
        image: see :func:`edges_of_shards`, also for the others.
        how: likewise.

    Returns:
        What was done, skipped and failed.

    Raises:
        ValueError: if a mask or option is bad; or see :func:`edges_of_shards`.
        OSError: if a result cannot be written.
    """
    job = refinement_shard_job(
        shard_names(images),
        shard_names(masks),
        os.fspath(out),
        edges,
        refiner,
        crowds=crowds,
        skip_bad=skip_bad,
        image=image,
    )
    return run_shards(job, **how)


def label_shards(
    images: Shards,
    semantic: Shards,
    classes: PanopticClasses,
    out: str | os.PathLike[str],
    edges: EdgeSource | ShardNames | None,
    labeler: PanopticLabeler,
    *,
    image: str | None = None,
    **how: Unpack[RunOptions],
) -> ShardSummary:
    """Make panoptic labels of images in shards; go on where an earlier run stopped.

    For each shard there is one of results, whose samples hold ``panoptic.png``, ``semantic.png``
    and ``json``, the record with COCO annotations. :func:`trace_mm.jobs.merge.merge_shards` makes a
    COCO panoptic dataset of all.

    Args:
        images: shards, see :func:`edges_of_shards`.
        semantic: shards called alike, whose samples have the keys of the images and semantic maps
            as ``semantic.png``, ``semantic.npy``, ``png`` or ``npy``. The shards of the images, if
            these hold them, as ``semantic.png`` or ``semantic.npy``.
        classes: what the ids in the maps mean.
        out: folder of the results, local or of a store.
        edges: where edges come from, or shards that :func:`edges_of_shards` wrote; None tells
            things apart by connected components alone.
        labeler: makes segments of classes and edges.
        image: see :func:`edges_of_shards`, also for the others.
        how: likewise.

    Returns:
        What was done, skipped and failed.

    Raises:
        ValueError: if the first shard holds no map; or see :func:`edges_of_shards`.
        OSError: if a result cannot be written, or the first shard cannot be read.
    """
    names, maps = shard_names(images), shard_names(semantic)
    job = panoptic_shard_job(names, maps, classes, os.fspath(out), edges, labeler, image)
    return run_shards(job, **how)
