"""Masks of many photos into a folder: resumable, with overlays, a gallery and other formats."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

from trace_mm.apis.image_sources import ImageSource, ImageSources
from trace_mm.exporters import exporter_of
from trace_mm.exporters.base import MARKER_FILE
from trace_mm.files.whole_folders import check_replaceable
from trace_mm.jobs.photo_masks import PhotoSegmenter
from trace_mm.jobs.places import COCO_FORMAT
from trace_mm.jobs.segmentation import SegmentationJob, file_name
from trace_mm.runs.engine import check_places, run
from trace_mm.runs.executors import RunOptions
from trace_mm.runs.summary import RunSummary


@dataclass(frozen=True, repr=False)
class SegmentSummary(RunSummary):
    """What a run did.

    Attributes:
        done: names of the photos whose masks were found now.
        skipped: names of those that were finished before.
        failed: reason by path of those that could not be processed.
        photos: how many have results.
        masks: how many they have.
        empty: how many of them have none.
    """

    failed: Mapping[str, str] = field(default_factory=dict)
    photos: int = 0
    masks: int = 0
    empty: int = 0

    def describe(self, out: object) -> list[str]:
        """Lines for the person who has run it."""
        counts = super().describe(out)
        none = f", {self.empty} photos have none" if self.empty else ""
        return [*counts, f"{self.masks} masks of {self.photos} photos{none}"]


def segment_photos(
    segmenter: PhotoSegmenter,
    sources: Sequence[ImageSource],
    out: str | os.PathLike[str],
    *,
    formats: Sequence[str] = (),
    photos: str = "copy",
    **how: Unpack[RunOptions],
) -> SegmentSummary:
    """Write the masks of photos to ``out``; go on where an earlier run stopped.

    Results are ``instances.json`` (COCO, ids from 1 up in the order of names),
    ``overlays/NAME.jpg`` with the best masks, ``index.html``, a gallery that a browser shows
    without a server, with thumbnails in ``gallery/``, and a folder for each further format.
    ``manifest.jsonl`` records settings and masks; results depend on these and the photos, and not
    on interruptions or workers. What an earlier run has written of other photos is removed.

    Args:
        segmenter: finds masks.
        sources: photos, see :func:`trace_mm.apis.expand_inputs`. Names that repeat count once.
        out: made if needed.
        formats: of :func:`trace_mm.exporters.export_formats`; "coco" is always written.
        photos: "copy", "link" or "none": what becomes of photos in formats that want them beside
            the masks.
        how: it is done, see :class:`trace_mm.runs.executors.RunOptions`.

    Returns:
        What was done, skipped and failed.

    Raises:
        ValueError: if an option is wrong, a photo would be written onto, the folder holds results
            of other settings or something else, or another run is writing to it.
        FileNotFoundError: if there are stored edges of none of the photos.
        OSError: if a result cannot be written.
    """
    others = further_formats(formats, Path(out))
    if not isinstance(sources, ImageSources):
        sources = ImageSources(sources)
    job = SegmentationJob(sources.files(), Path(out), segmenter, others, photos)
    check_places(job.places())  # before edges are missed
    if segmenter.edges is not None:
        numbers = range(len(job.keys))
        segmenter.edges.expect([file_name(job.keys[one], job.path(one)) for one in numbers])
    result = run(job, **how)
    counts = []
    with result.journal() as journal:
        for record in journal.records():
            if record.error is None:
                counts.append(len(record.result["annotations"]))
    paths = {key: str(job.path(number)) for number, key in enumerate(job.keys)}
    return SegmentSummary(
        done=result.done,
        skipped=result.skipped,
        failed={paths[key]: reason for key, reason in result.failed.items()},
        remarks=job.remarks,
        photos=len(counts),
        masks=sum(counts),
        empty=counts.count(0),
    )


def further_formats(formats: Sequence[str], out: Path) -> list[str]:
    """The formats that are written besides COCO, each once, after a look at their folders.

    Raises:
        ValueError: if there is no such format, or something else is in its folder.
    """
    others = [name for name in dict.fromkeys(formats) if name != COCO_FORMAT]
    for name in others:
        exporter_of(name)
        check_replaceable(out / name, MARKER_FILE, overwrite=True)
    return others
