"""One image's pseudo-panoptic labels: its map is read, things are told apart, files are written."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from trace_mm.apis.instance_records import file_state
from trace_mm.apis.panoptic_inputs import PanopticInputs
from trace_mm.apis.panoptic_records import (
    PANOPTIC,
    PICTURES,
    SEMANTIC,
    PanopticRecord,
    output_path,
)
from trace_mm.files import Photo, read_photo, write_atomically
from trace_mm.files.palette import semantic_png
from trace_mm.files.panoptic import panoptic_png
from trace_mm.files.png import encode_png
from trace_mm.jobs.edge_sources import NamedImage
from trace_mm.panoptic import PanopticClasses, PanopticLabeler
from trace_mm.panoptic.annotations import class_map, segment_annotations
from trace_mm.visualization.panoptic import draw_panoptic

_NO_PIXELS = np.zeros((0, 0, 3), dtype=np.float32)
UNTAGGED = "there is no semantic map of it"


@dataclass(frozen=True)
class Job:
    """One image's classes, read, and waiting for edges."""

    record: PanopticRecord
    image: NamedImage
    classes: NDArray[np.int32]
    shown: bool

    def without_pixels(self) -> "Job":
        """The same, but with pixels only if they are to be drawn: they are large."""
        if self.shown:
            return self
        return replace(self, image=replace(self.image, pixels=_NO_PIXELS))


@dataclass(frozen=True)
class Writer:
    """What a worker needs besides a job."""

    labeler: PanopticLabeler
    classes: PanopticClasses
    out: Path


def read_jobs(
    found: PanopticInputs,
    names: list[str],
    shown: frozenset[str],
    finish: Callable[[PanopticRecord], None],
) -> Iterator[Job]:
    """Read images and their maps; those that cannot be read are finished with the reason."""
    for name in names:
        path = found.images[name]
        record = PanopticRecord(name, *file_state(path), semantic=found.map_state(name))
        if name not in found.maps:
            finish(replace(record, notes=[UNTAGGED]))
            continue
        try:
            photo, classes = _read(path, found, name)
        except (ValueError, OSError) as error:
            finish(replace(record, error=str(error)))
            continue
        height, width = classes.shape
        record = replace(record, height=height, width=width, notes=photo.notes)
        image = NamedImage(name, photo.pixels, photo.orientation)
        yield Job(record, image, classes, name in shown)


def _read(path: Path, found: PanopticInputs, name: str) -> tuple[Photo, NDArray[np.int32]]:
    """An image, in the orientation that fits its semantic map, and its class numbers (H, W)."""
    semantic = found.maps[name]
    photo = read_photo(path, lambda: found.reader.evidence(semantic))
    return photo, found.reader.read(semantic, photo.size)


def label(writer: Writer, job: Job, edges: NDArray[np.float32] | None) -> PanopticRecord:
    """Label one image and write its files; uses one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # here too, so that rounding is the same in all processes
    try:
        labels = writer.labeler(job.classes, writer.classes.num_things, edges)
        annotations = segment_annotations(labels.ids, labels.classes, writer.classes)
    except ValueError as error:
        return replace(job.record, error=f"{job.record.name}: {error}")
    finally:
        torch.set_num_threads(threads)
    labelled = class_map(labels.ids, labels.classes)  # (H, W)
    files = {
        PANOPTIC: panoptic_png(labels.ids),
        SEMANTIC: semantic_png(writer.classes.ids_of(labelled)),
    }
    if job.shown:
        names = writer.classes.names
        picture = draw_panoptic(
            job.image.pixels,
            job.classes,
            edges,
            labels.ids,
            class_names=names,
            segment_names=[names[number] for number in labels.classes.tolist()],
        )
        files[PICTURES] = encode_png(picture)
    outputs = {}
    for folder, data in files.items():
        path = output_path(folder, job.record.name)
        write_atomically(writer.out / path, data)
        outputs[path] = len(data)
    return replace(job.record, annotations=annotations, outputs=outputs)


def output_paths(name: str, shown: bool) -> list[str]:
    """Paths of an image's files within the output folder; one more if it is ``shown``."""
    folders = [PANOPTIC, SEMANTIC, *([PICTURES] if shown else [])]
    return [output_path(folder, name) for folder in folders]
