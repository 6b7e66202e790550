"""Another method's masks of a folder of images, refined and written as COCO instances."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trace_mm import __version__
from trace_mm.apis.batches import batched
from trace_mm.apis.fingerprints import fingerprint
from trace_mm.apis.instance_records import (
    Record,
    RecordFile,
    coco_content,
    file_state,
    json_bytes,
    read_records,
)
from trace_mm.apis.json_lines import as_json
from trace_mm.apis.progress import progress_bar, tell
from trace_mm.apis.refinement_inputs import find_inputs
from trace_mm.apis.refinement_summary import (
    RefinementSummary,
    mostly_left_out,
    unscored,
    unturned,
)
from trace_mm.apis.worker_pool import WorkerPool
from trace_mm.console import note
from trace_mm.files import (
    Photo,
    absolute_path,
    check_outputs,
    distinct_stems,
    locked,
    read_photo,
    remove_temporary_files,
    write_atomically,
)
from trace_mm.files.coco import instance_annotation
from trace_mm.files.png import encode_png
from trace_mm.jobs.edge_sources import EdgeSource, NamedImage, with_edges
from trace_mm.jobs.places import check_refinement_places, parts_folder
from trace_mm.refine import BoundaryGuidedPropagation, InstanceMasks
from trace_mm.refine.readers import BadMaskError, MaskReader, MaskRecord, open_masks
from trace_mm.refine.readers.base import OnBad
from trace_mm.visualization import draw_refinement

MANIFEST = "manifest.jsonl"
_NO_PIXELS = np.zeros((0, 0, 3), dtype=np.float32)
_NO_FILE = -1, -1  # the state of an image that a record does not have


@dataclass(frozen=True)
class _Job:
    """One image's masks, read, and waiting for edges; and where its picture goes, if anywhere."""

    record: Record
    image: NamedImage
    instances: InstanceMasks
    picture: Path | None = None


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
    overwrite: bool = False,
    show_progress: bool = True,
) -> RefinementSummary:
    """Refine masks and write them to ``out``; go on where an earlier run stopped.

    ``<out>.parts/manifest.jsonl`` records the settings and each image as it is done, with what was
    left out and why. ``out`` itself is written at the end, whole. It depends on the input and the
    settings only, and not on interruptions or workers.

    Args:
        masks: file or folder of another method, see :func:`trace_mm.refine.open_masks`.
        images: folder of the images.
        out: COCO JSON file to write.
        edges: where edges come from.
        refiner: what refines.
        format: of the masks, or "auto".
        annotations: a COCO file whose ``images`` tell names and ids; None for none.
        allow_pickle: read files that may run code, see :func:`trace_mm.refine.open_masks`.
        crowds: what becomes of crowd regions: "auto", "keep" or "skip", see
            :class:`trace_mm.refine.readers.MaskReader`.
        scores: "source", "constant" or "outline", see :class:`BoundaryGuidedPropagation`; None for
            what the refiner has.
        skip_bad: leave bad masks and records without an image out, and note them in the manifest.
        show_dir: folder for a picture of each image, ``<stem>.png``: before, edges, after. Images
            that differ in the suffix only keep it. None for none.
        batch_size: how many images ``edges`` is given at a time.
        workers: processes that refine, with one thread each; 0 means this one.
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
    if batch_size < 1 or workers < 0:
        raise ValueError(f"batch size {batch_size} must be at least 1, workers {workers} 0")
    if scores is not None:
        refiner = type(refiner)(**{**refiner.settings(), "scores": scores})
    out = Path(out)
    check_refinement_places(
        masks, images, out, edges=edges.folders(), annotations=annotations, show_dir=show_dir
    )
    reader = open_masks(masks, format, allow_pickle, crowds)
    check_outputs(folders=[show_dir], read=reader.folders)
    inputs = find_inputs(reader, images, annotations, skip_bad)
    names, missing = inputs.images, inputs.missing
    edges.expect(list(names), inputs.others)
    settings: dict[str, Any] = {
        "version": __version__,
        "masks": {"path": str(absolute_path(Path(masks))), "content": fingerprint(Path(masks))},
        "format": type(reader).__name__,
        "crowds": crowds,
        "annotations": None if annotations is None else fingerprint(Path(annotations)),
        "edges": edges.settings(),
        "refiner": {"type": type(refiner).__name__, **refiner.settings()},
    }
    settings = as_json(settings)
    pictures = {} if show_dir is None else _pictures(Path(show_dir), list(names))
    parts = parts_folder(out)
    parts.mkdir(parents=True, exist_ok=True)
    with locked(parts):
        remove_temporary_files([out, *pictures.values()], [parts])
        manifest = parts / MANIFEST
        if overwrite:
            manifest.unlink(missing_ok=True)
        states = {name: file_state(path) for name, (path, _) in names.items()}
        states |= dict.fromkeys(missing, _NO_FILE)
        known = read_records([manifest] if manifest.is_file() else [], settings, states)
        done = {
            name
            for name, record in known.items()
            if _is_done(record, pictures.get(name), skip_bad) and record.edges == edges.state(name)
        }
        for remark in inputs.notes:  # before the bar, which would be on the same line
            note(remark)
        with (
            RecordFile(manifest, settings) as records,
            progress_bar(len(names), len(done), show_progress) as progress,
        ):

            def finish(record: Record) -> None:
                records.add(record)
                tell(progress, record)

            def fail(job: _Job, reason: str) -> None:
                finish(replace(job.record, error=reason))

            for name, reason in missing.items():
                progress.write(f"{name}: {reason}", file=sys.stderr)
                if name not in known:
                    records.add(Record(name, *_NO_FILE, error=reason))
            waiting = {name: names[name] for name in sorted(names) if name not in done}
            with WorkerPool(workers, finish) as pool:
                jobs = _jobs(reader, waiting, skip_bad, finish)
                if not pictures:
                    jobs = _with_masks(jobs, edges, finish)
                for batch in batched(jobs, batch_size):
                    for job, lines in with_edges(edges, batch, fail):
                        state = edges.state(job.record.name)
                        picture = pictures.get(job.record.name)
                        record = replace(job.record, edges=state)
                        job = replace(job, record=record, picture=picture)
                        if picture is None:  # pixels are large, and on their way to a worker
                            job = replace(job, image=replace(job.image, pixels=_NO_PIXELS))
                        pool.submit(_refine, refiner, job, lines)
                pool.wait()
        remarks = [remark for remark in reader.notes if remark not in inputs.notes]
        known = read_records([manifest], settings, states)
        _check_some_are_left(known, Path(masks))
        categories = _categories(known, reader.categories)
        content = coco_content(known, inputs.ids, _info(settings), categories)
        write_atomically(out, json_bytes(content))
    notes = {
        **{name: [reason] for name, reason in missing.items()},
        **{name: record.notes for name, record in known.items() if record.notes},
    }
    return RefinementSummary(
        done=len(content["images"]),
        masks=len(content["annotations"]),
        failed={
            name: record.error
            for name, record in known.items()
            if record.error is not None and name not in missing
        },
        notes=notes,
        empty=len(content["images"]) - len({one["image_id"] for one in content["annotations"]}),
        others=len(inputs.others),
        told=inputs.notes,
        remarks=[
            *inputs.notes,
            *remarks,
            *unturned([key for key in known if known[key].remarks]),
            *unscored(content["annotations"], refiner.scores),
            *mostly_left_out(notes, len(content["annotations"])),
        ],
    )


def _jobs(
    reader: MaskReader,
    waiting: dict[str, tuple[Path, MaskRecord]],
    skip_bad: bool,
    finish: Callable[[Record], None],
) -> Iterator[_Job]:
    """Read images and their masks; those that cannot be read are finished with the reason."""
    for name, (path, source) in waiting.items():
        record = Record(name, *file_state(path))
        notes: list[str] = []

        def note(bad: BadMaskError, notes: list[str] = notes) -> None:
            notes.append(str(bad))

        try:
            photo, instances = _read(path, reader, source, note if skip_bad else None)
        except BadMaskError as error:
            if not skip_bad:
                raise
            finish(replace(record, error=str(error)))
            continue
        except (ValueError, OSError) as error:
            finish(replace(record, error=str(error)))
            continue
        size = instances.size
        record = replace(record, height=size[0], width=size[1], notes=notes, remarks=photo.notes)
        yield _Job(record, NamedImage(name, photo.pixels, photo.orientation), instances)


def _with_masks(
    jobs: Iterator[_Job], edges: EdgeSource, finish: Callable[[Record], None]
) -> Iterator[_Job]:
    """Jobs that have masks; the others are done, and need no edges."""
    for job in jobs:
        if len(job.instances):
            yield job
        else:
            finish(replace(job.record, edges=edges.state(job.record.name)))


def _check_some_are_left(known: dict[str, Record], masks: Path) -> None:
    """Refuse to write a file without masks where all were left out.

    Raises:
        ValueError: naming the first that was.
    """
    notes = [note for record in known.values() for note in record.notes]
    if notes and not any(record.annotations for record in known.values()):
        raise ValueError(f"{masks}: all masks were left out as bad; the first: {notes[0]}")


def _read(
    path: Path, reader: MaskReader, source: MaskRecord, on_bad: OnBad | None
) -> tuple[Photo, InstanceMasks]:
    """An image, in the orientation that fits its masks, and these."""
    photo = read_photo(path, lambda: reader.evidence(source))
    return photo, reader.read(source, photo.size, on_bad)


def _refine(refiner: BoundaryGuidedPropagation, job: _Job, edges: NDArray[np.float32]) -> Record:
    """Refine one image, and draw it if asked for; uses one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # here too, so that rounding is the same in all processes
    try:
        refined = refiner(job.instances, edges)
    except ValueError as error:
        return replace(job.record, error=str(error))
    finally:
        torch.set_num_threads(threads)
    result = refined.instances
    scores = np.ones(len(result)) if result.scores is None else result.scores
    if job.picture is not None:
        drawing = draw_refinement(
            job.image.pixels, job.instances.masks, edges, result.masks, refined.sources
        )
        write_atomically(job.picture, encode_png(drawing))
    annotations = [
        {
            **instance_annotation(mask, int(label)),
            "score": round(float(score), 6),
            "source_masks": list(sources),
        }
        for mask, label, score, sources in zip(
            result.masks, result.labels, scores, refined.sources, strict=True
        )
        if mask.any()
    ]
    return replace(job.record, annotations=annotations)


def _is_done(record: Record, picture: Path | None, skip_bad: bool) -> bool:
    """Whether an image need not be refined again."""
    drawn = picture is None or picture.is_file()
    return record.error is None and drawn and (skip_bad or not record.notes)


def _pictures(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Where the picture of each image goes, by the image's name."""
    return {name: folder / f"{stem}.png" for name, stem in distinct_stems(names).items()}


def _categories(records: dict[str, Record], names: dict[int, str]) -> dict[int, str]:
    """A name for each label of the refined masks; those of the source where it has names."""
    labels = {
        annotation["category_id"]
        for record in records.values()
        for annotation in record.annotations
    }
    default = "object" if labels <= {1} else "class {}"
    return {label: names.get(label, default.format(label)) for label in sorted(labels | {*names})}


def _info(settings: dict[str, Any]) -> dict[str, Any]:
    return {"description": "instance masks refined by instance edges (trace_mm)", **settings}
