"""Pseudo-panoptic labels of a folder of images, from semantic maps and instance edges."""

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trace_mm import __version__
from trace_mm.apis.batches import batched
from trace_mm.apis.instance_records import RecordFile, file_state
from trace_mm.apis.json_lines import as_json
from trace_mm.apis.panoptic_inputs import PanopticInputs, find_inputs
from trace_mm.apis.panoptic_labelling import (
    UNTAGGED,
    Job,
    Writer,
    label,
    output_paths,
    read_jobs,
)
from trace_mm.apis.panoptic_records import (
    PanopticRecord,
    Records,
    class_counts,
    close_manifest,
    open_manifest,
    rank_file,
    read_manifest,
    write_coco_files,
)
from trace_mm.apis.panoptic_summary import write_summary
from trace_mm.apis.progress import progress_bar, tell
from trace_mm.apis.ranks import barrier, ranks
from trace_mm.apis.worker_pool import WorkerPool
from trace_mm.console import note
from trace_mm.files import absolute_path, locked
from trace_mm.files.fingerprints import fingerprint
from trace_mm.jobs.edge_sources import EdgeSource, with_edges
from trace_mm.jobs.places import check_panoptic_places
from trace_mm.panoptic import PanopticClasses, PanopticLabeler
from trace_mm.short_repr import ShortRepr

PICTURES_SHOWN = 24  # in the summary
_CLASSES_SHOWN = 20  # on the console, of things and of stuff


@dataclass(frozen=True, repr=False)
class PanopticSummary(ShortRepr):
    """What a run did.

    Attributes:
        labelled: how many images have labels, made now or before.
        segments: how many segments these have.
        failed: why images could not be labelled, by name.
        untagged: names of images without a semantic map, which get no labels.
        unused_maps: how many semantic maps have no image.
        notes: what else is to be known of images, by name.
        things: how many segments of each class of things there are, most first.
        stuff: how many of each class of stuff.
    """

    labelled: int
    segments: int
    failed: dict[str, str] = field(default_factory=dict)
    untagged: list[str] = field(default_factory=list)
    unused_maps: int = 0
    notes: dict[str, list[str]] = field(default_factory=dict)
    things: dict[str, int] = field(default_factory=dict)
    stuff: dict[str, int] = field(default_factory=dict)

    def describe(self, out: str | os.PathLike[str]) -> str:
        """A line for the person who has run it."""
        return (
            f"{self.segments} segments of {self.labelled} images, {len(self.failed)} images "
            f"failed, {len(self.untagged)} have no semantic map, {self.unused_maps} maps have no "
            f"image: {os.fspath(out)}"
        )

    def describe_classes(self) -> list[str]:
        """Lines that tell how many segments there are of the commonest classes."""
        lines = []
        for kind, counts in (("things", self.things), ("stuff", self.stuff)):
            shown = [f"{name} {count}" for name, count in list(counts.items())[:_CLASSES_SHOWN]]
            if len(counts) > len(shown):
                shown.append(f"and {len(counts) - len(shown)} more classes")
            lines += [f"{kind}: {', '.join(shown)}"] if shown else []
        return lines

    def report(self, out: str | os.PathLike[str]) -> int:
        """Print what a run did, on rank 0.

        Returns:
            The exit status: 1 if images failed. 0 on other ranks: torchrun would stop rank 0, which
            may not have printed yet.
        """
        if os.environ.get("RANK", "0") != "0":
            return 0
        for line in self.describe_classes():
            print(line.encode("utf-8", "backslashreplace").decode("utf-8"))
        # A folder's name may hold bytes that cannot be printed.
        print(self.describe(out).encode("utf-8", "backslashreplace").decode("utf-8"))
        for name, reason in self.failed.items():
            print(f"  {name}: {reason}", file=sys.stderr)
        return 1 if self.failed else 0


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
) -> PanopticSummary:
    """Make a COCO panoptic dataset of images; go on where an earlier run stopped (Sec. 3.5).

    Written are ``panoptic.json`` with ``panoptic/<stem>.png``, ``instances.json`` of the things,
    ``semantic/<stem>.png`` with the ids of the semantic maps and 255 for void, ``manifest.jsonl``
    with what became of each image, and ``summary.html``. They agree, and depend on the input and
    the settings only, not on interruptions, ranks, batches or workers. JSON files come last. An
    image that cannot be labelled is recorded with the reason, and the others go on.

    Started by torchrun, each rank labels a share of the images.

    Args:
        images: folder, which is searched with its subfolders.
        semantic: folder of their semantic maps, see :class:`trace_mm.panoptic.SemanticMaps`. Images
            without a map get no labels.
        classes: what the ids in the maps mean.
        out: folder to write, made if needed.
        edges: where edges come from; None tells things apart by connected components alone.
        labeler: makes segments of classes and edges.
        annotations: a COCO file whose image ids are used, by file name. None: images count from 1
            by name.
        batch_size: how many images ``edges`` is given at a time.
        workers: processes that label, with one thread each; 0 means this one.
        overwrite: forget what an earlier run has done.
        show_progress: draw a progress bar on stderr.

    Returns:
        What was done, the same on all ranks.

    Raises:
        FileNotFoundError: if an input does not exist.
        ValueError: if an option is bad, an earlier run had other settings, or another run is
            writing to the folder. What is done so far is kept.
        OSError: if a result cannot be written.
    """
    if batch_size < 1 or workers < 0:
        raise ValueError(f"batch size {batch_size} must be at least 1, workers {workers} 0")
    out = Path(out)
    check_panoptic_places(images, semantic, out, edges=() if edges is None else edges.folders())
    found = find_inputs(images, semantic, classes, out, annotations)
    if edges is not None:
        edges.expect(list(found.maps), found.images)
    settings = _settings(found, edges, labeler, annotations)
    run = _Run(found, edges, Writer(labeler, classes, out), settings)
    out.mkdir(parents=True, exist_ok=True)
    with ranks() as (rank, world), locked(out) if rank == 0 else nullcontext():
        if rank == 0:
            for remark in found.notes:
                note(remark)
            open_manifest(out, settings, run.states, run.is_current, overwrite)
        barrier()
        run.label_share(rank, world, batch_size, workers, show_progress and rank == 0)
        barrier()
        if rank == 0:
            known = close_manifest(out, settings, run.states)
            write_coco_files(out, known, found.ids, classes, settings)
            write_summary(out, known, classes, found.unused_maps, settings)
        barrier()
        return _summary(read_manifest(out, settings, run.states), found)


class _Run:
    """What one rank does, between the opening and the closing of the manifest."""

    def __init__(
        self,
        found: PanopticInputs,
        edges: EdgeSource | None,
        writer: Writer,
        settings: dict[str, Any],
    ) -> None:
        self.found, self.edges, self.writer, self.settings = found, edges, writer, settings
        self.states = found.image_states()
        self.shown = found.shown(PICTURES_SHOWN)

    def is_current(self, record: PanopticRecord) -> bool:
        """Whether an image need not be labelled again."""
        name = record.name
        if record.error is not None or record.semantic != self.found.map_state(name):
            return False
        if not record.labelled:
            return True
        edges = "" if self.edges is None else self.edges.state(name)
        return (
            record.edges == edges
            and set(record.outputs) == set(output_paths(name, name in self.shown))
            and all(
                file_state(self.writer.out / path)[0] == size
                for path, size in record.outputs.items()
            )
        )

    def label_share(
        self, rank: int, world: int, batch_size: int, workers: int, show_progress: bool
    ) -> None:
        """Label the images that are this rank's, and record each."""
        names, out = self.found.images, self.writer.out
        done = read_manifest(out, self.settings, self.states)
        share = [name for name in names if name not in done][rank::world]
        with (
            RecordFile(rank_file(out, rank), self.settings) as records,
            progress_bar(len(names), len(done), show_progress) as progress,
        ):

            def finish(record: PanopticRecord) -> None:
                records.add(record)
                tell(progress, record, unsaid=UNTAGGED, count=world)  # the others are about as fast

            jobs = read_jobs(self.found, share, self.shown, finish)
            self._label(batched(jobs, batch_size), workers, finish)

    def _label(
        self,
        batches: Iterable[list[Job]],
        workers: int,
        finish: Callable[[PanopticRecord], None],
    ) -> None:
        def fail(job: Job, reason: str) -> None:
            finish(replace(job.record, error=reason))

        edges, writer = self.edges, self.writer
        with WorkerPool(workers, finish) as pool:
            for batch in batches:
                if edges is None:
                    for job in batch:
                        pool.submit(label, writer, job.without_pixels(), None)
                    continue
                for job, lines in with_edges(edges, batch, fail):
                    record = replace(job.record, edges=edges.state(job.record.name))
                    pool.submit(label, writer, replace(job, record=record).without_pixels(), lines)
            pool.wait()


def _settings(
    found: PanopticInputs,
    edges: EdgeSource | None,
    labeler: PanopticLabeler,
    annotations: str | os.PathLike[str] | None,
) -> dict[str, Any]:
    return as_json(
        {
            "version": __version__,
            "semantic": str(absolute_path(found.reader.folder)),
            "classes": found.reader.classes.describe(),
            "annotations": None if annotations is None else fingerprint(Path(annotations)),
            "edges": None if edges is None else edges.settings(),
            "labeler": {"type": type(labeler).__name__, **labeler.settings()},
        }
    )


def _summary(records: Records, found: PanopticInputs) -> PanopticSummary:
    labelled = [record for record in records.values() if record.labelled]
    classes = found.reader.classes
    counts = class_counts(labelled, classes)
    things = {*classes.thing_classes}
    return PanopticSummary(
        labelled=len(labelled),
        segments=sum(len(record.annotations) for record in labelled),
        failed={name: record.error for name, record in records.items() if record.error is not None},
        untagged=[name for name in found.images if name not in found.maps],
        unused_maps=found.unused_maps,
        notes={record.name: record.notes for record in labelled if record.notes},
        things={name: count for name, count in counts.items() if name in things},
        stuff={name: count for name, count in counts.items() if name not in things},
    )
