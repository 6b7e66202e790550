"""Pseudo-panoptic labels of a folder of images, from semantic maps and instance edges."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

from trace_mm.jobs.edge_sources import EdgeSource
from trace_mm.jobs.panoptic import UNTAGGED, PanopticJob
from trace_mm.jobs.panoptic_inputs import find_inputs
from trace_mm.jobs.panoptic_tally import Tally
from trace_mm.jobs.places import panoptic_places
from trace_mm.panoptic import PanopticClasses, PanopticLabeler, SemanticMaps
from trace_mm.runs.engine import RunResult, check_places, read_journal, run
from trace_mm.runs.executors import Executor, RunOptions, chosen
from trace_mm.runs.group import note_once
from trace_mm.runs.summary import RunSummary

_CLASSES_SHOWN = 20  # on the console, of things and of stuff


@dataclass(frozen=True, repr=False)
class PanopticSummary(RunSummary):
    """What a run did.

    Attributes:
        done: names of the images that were looked at now, those without a semantic map as well.
        skipped: names of those that were finished before.
        failed: why images could not be labelled, by name.
        labelled: how many images have labels, made now or before.
        segments: how many segments these have.
        untagged: names of images without a semantic map, which get no labels.
        unused_maps: how many semantic maps have no image.
        notes: what else is to be known of images, by name.
        things: how many segments of each class of things there are, most first.
        stuff: how many of each class of stuff.
    """

    labelled: int = 0
    segments: int = 0
    untagged: Sequence[str] = ()
    unused_maps: int = 0
    notes: Mapping[str, list[str]] = field(default_factory=dict)
    things: Mapping[str, int] = field(default_factory=dict)
    stuff: Mapping[str, int] = field(default_factory=dict)

    def describe(self, out: object) -> list[str]:
        """Lines for the person who has run it: the commonest classes, and a total."""
        total = (
            f"{self.segments} segments of {self.labelled} images, {len(self.failed)} images "
            f"failed, {len(self.untagged)} have no semantic map, {self.unused_maps} maps have no "
            f"image: {out}"
        )
        return [*_classes("things", self.things), *_classes("stuff", self.stuff), total]


def _classes(kind: str, counts: Mapping[str, int]) -> list[str]:
    shown = [f"{name} {count}" for name, count in list(counts.items())[:_CLASSES_SHOWN]]
    if len(counts) > len(shown):
        shown.append(f"and {len(counts) - len(shown)} more classes")
    return [f"{kind}: {', '.join(shown)}"] if shown else []


def make_pseudo_panoptic(
    images: str | os.PathLike[str],
    semantic: str | os.PathLike[str],
    classes: PanopticClasses,
    out: str | os.PathLike[str],
    edges: EdgeSource | None,
    labeler: PanopticLabeler,
    *,
    annotations: str | os.PathLike[str] | None = None,
    batch_size: int = 1,
    workers: int = 0,
    overwrite: bool = False,
    show_progress: bool = True,
    executor: Executor | None = None,
) -> PanopticSummary:
    """Make a COCO panoptic dataset of images; go on where an earlier run stopped (Sec. 3.5).

    Written are ``panoptic.json`` with ``panoptic/<stem>.png``, ``instances.json`` of the things,
    ``semantic/<stem>.png`` with the ids of the semantic maps, ``manifest.jsonl`` with what became
    of each image, and ``summary.html``. They agree, and depend on the input and
    the settings only, not on interruptions, batches or where images are labelled. JSON files come
    last. An image that cannot be labelled is recorded with the reason, and the others go on.

    Started by torchrun, the processes share the images.

    Args:
        images: folder, which is searched with its subfolders.
        semantic: folder of their semantic maps, see :class:`trace_mm.panoptic.SemanticMaps`. Images
            without a map get no labels.
        classes: what the ids in the maps mean.
        out: folder to write, made if needed.
        edges: where edges come from; None tells things apart by connected components alone. For
            workers in other processes it must be possible to pickle it.
        labeler: makes segments of classes and edges.
        annotations: a COCO file whose image ids are used, by file name. None: images count from 1
            by name.
        batch_size: how many images ``edges`` is given at a time.
        workers: processes of this machine that find edges and label; 0 means this one.
        overwrite: forget what an earlier run has done.
        show_progress: draw a progress bar on stderr.
        executor: where images are labelled, instead of in ``workers``.

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
    check_places(panoptic_places(images, semantic, out, folders, [annotations]))
    found = find_inputs(images, SemanticMaps(semantic, classes), annotations)
    return run_panoptic(
        PanopticJob(found, Path(out), edges, labeler, annotations),
        executor=executor,
        batch_size=batch_size,
        overwrite=overwrite,
        show_progress=show_progress,
    )


def run_panoptic(job: PanopticJob, **how: Unpack[RunOptions]) -> PanopticSummary:
    """Do a job whose inputs are found, and say what came of it; see :func:`make_pseudo_panoptic`.

    Args:
        job: labels images.
        how: it is done, see :class:`trace_mm.runs.executors.RunOptions`.
    """
    inputs = job.inputs
    if job.edges is not None:
        job.edges.expect(inputs.with_map(), inputs.names)
    for remark in inputs.notes:
        note_once(remark)
    result = run(job, **how, unsaid=UNTAGGED)
    return _summary(result, job, job.tally or _count(job))


def _count(job: PanopticJob) -> Tally:
    """What the labels are, in a process that did not conclude the run."""
    with read_journal(job) as journal:
        return job.count(journal)


def _summary(result: RunResult, job: PanopticJob, tally: Tally) -> PanopticSummary:
    counts, things = tally.of_classes(job.classes), {*job.classes.thing_classes}
    return PanopticSummary(
        done=result.done,
        skipped=result.skipped,
        failed=result.failed,
        labelled=tally.labelled,
        segments=tally.segments.total(),
        untagged=job.inputs.without_map(),
        unused_maps=job.inputs.unused_maps,
        notes=tally.notes,
        things={name: count for name, count in counts.items() if name in things},
        stuff={name: count for name, count in counts.items() if name not in things},
    )
