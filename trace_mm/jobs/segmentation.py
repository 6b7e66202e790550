"""Masks of photos found, drawn and recorded one by one, and the files and pages they become."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from trace_mm.files import decode_image, read_file
from trace_mm.files.file_state import file_state
from trace_mm.files.jpeg import encode_jpeg
from trace_mm.files.members import AnyFile, Member
from trace_mm.files.store_paths import FilePath, is_local, unpacked_path
from trace_mm.jobs.edge_sources import NamedImage
from trace_mm.jobs.edges import sorted_files
from trace_mm.jobs.mask_records import annotations_of
from trace_mm.jobs.photo_masks import PhotoMasks, PhotoSegmenter, Reading
from trace_mm.jobs.places import OVERLAY_FOLDER, segment_places
from trace_mm.jobs.segmentation_files import SegmentedPhotos, thumbnail_path, write_segmentation
from trace_mm.runs.job import Finished, Item, Places
from trace_mm.runs.journal import Journal
from trace_mm.runs.records import Record
from trace_mm.runs.sinks import FolderSink
from trace_mm.visualization.overlay import thumbnail
from trace_mm.visualization.segments import draw_segments, outline_paths

RESULTS = 1  # to be raised when the same settings no longer give the same masks
OVERLAID = 20  # masks that an overlay shows: more would hide one another
THUMBNAIL = 640  # pixels of the longer side, in the gallery
_THUMBNAIL_QUALITY = 80


class SegmentationJob:
    """Masks of photos as COCO instances and other formats, with overlays and a gallery.

    Args:
        files: name of the results and place of each photo, as
            :func:`trace_mm.files.store_paths.packed_path` packs it, absolute if it is local; a name
            that repeats counts once.
        out: folder to write.
        segmenter: finds masks.
        formats: of :func:`trace_mm.exporters.export_formats`, besides COCO.
        photos: "copy", "link" or "none": what becomes of photos in formats that want them.
    """

    keeps_others = False

    def __init__(
        self,
        files: Iterable[tuple[str, str]],
        out: Path,
        segmenter: PhotoSegmenter,
        formats: Sequence[str] = (),
        photos: str = "copy",
    ) -> None:
        self.keys, self._paths = sorted_files(files)
        self.out, self.formats, self._photos = out, tuple(formats), photos
        self._segmenter = segmenter
        #: Notes of formats that could not hold everything, once the run has concluded.
        self.remarks: list[str] = []

    def places(self) -> Places:
        """The output folder; see ``Job``."""
        edges = self._segmenter.edges
        return segment_places(
            (path for path in self._paths if is_local(path)),
            self.out,
            self.formats,
            () if edges is None else edges.folders(),
        )

    def settings(self) -> dict[str, Any]:
        """What masks depend on; see ``Job``. Formats may be added later."""
        return {"results": RESULTS, **self._segmenter.settings()}

    def recipe(self) -> "SegmentationRecipe":
        """How workers are made; see ``Job``."""
        return SegmentationRecipe(self._segmenter)

    def sink(self) -> FolderSink:
        """The output folder; see ``Job``."""
        return FolderSink(self.out)

    def item(self, number: int, known: Record | None) -> Item | None:
        """A photo, unless its masks and pictures are there, and are its own; see ``Job``."""
        key, path = self.keys[number], self.path(number)
        edges, name = self._segmenter.edges, file_name(key, path)
        state = {"path": str(path), **file_state(path)}
        if edges is not None:
            state["edges"] = edges.state(name)
        if known is not None and known.error is None and known.state == state:
            sizes = {file: file_state(self.out / file)["size"] for file in known.outputs}
            if sizes == known.outputs:
                return None
        return Item(key, state, SegmentationTask(path, name), str(path))

    def conclude(self, journal: Journal) -> None:
        """Write the COCO file, the other formats and the gallery; see ``Job``."""
        done = SegmentedPhotos(journal, len(self.keys), self.path)
        self.remarks = write_segmentation(self.out, done, self.formats, self._photos)

    def path(self, number: int) -> FilePath:
        """Where a photo is."""
        return unpacked_path(self._paths[number])


@dataclass(frozen=True)
class SegmentationTask:
    """What a worker needs of a photo.

    Attributes:
        path: of the photo, or its content.
        name: of the photo, with suffix, as edge maps and annotations know it.
        edges: its edge map, where that comes along.
        gallery: whether a page shows it, which takes a thumbnail and outlines.
    """

    path: AnyFile
    name: str
    edges: Member | None = None
    gallery: bool = True


@dataclass(frozen=True)
class SegmentationRecipe:
    """How a worker is made; see ``Recipe``."""

    segmenter: PhotoSegmenter

    @property
    def overlaps(self) -> bool:
        """Whether models compute on an accelerator."""
        return self.segmenter.uses_accelerator

    def worker(self, device: str | None) -> "SegmentationWorker":
        """A worker; see ``Recipe``."""
        return SegmentationWorker(self.segmenter if device is None else self.segmenter.on(device))


@dataclass(frozen=True)
class _Loaded:
    """A photo that is read."""

    item: Item
    image: NamedImage


class SegmentationWorker:
    """Reads photos, finds their masks and draws them; see ``Worker``."""

    def __init__(self, segmenter: PhotoSegmenter) -> None:
        self._segmenter = segmenter

    def load(self, item: Item) -> _Loaded:
        """Read a photo."""
        task: SegmentationTask = item.data
        pixels = decode_image(read_file(task.path), item.label)
        return _Loaded(item, NamedImage(task.name, pixels, stored=task.edges))

    def group(self, loaded: _Loaded) -> Hashable:
        """What photos of one batch have in common."""
        return self._segmenter.group(loaded.image)

    def predict(self, batch: Sequence[_Loaded]) -> Sequence[Reading]:
        """What models see in photos."""
        return self._segmenter.read([loaded.image for loaded in batch])

    def finish(self, loaded: _Loaded, predicted: Reading) -> Finished:
        """The masks of a photo, and its pictures."""
        found = self._segmenter.masks(loaded.image, predicted)
        return finished(loaded.item, loaded.image, found)


def finished(item: Item, image: NamedImage, found: PhotoMasks) -> Finished:
    """The record and the pictures of a photo whose masks are found."""
    masks = found.instances.masks
    height, width = image.pixels.shape[:2]
    result = {
        "file_name": image.name,
        "height": height,
        "width": width,
        "annotations": annotations_of(found.instances),
    }
    files = {overlay_path(item.key): encode_jpeg(draw_segments(image.pixels, masks[:OVERLAID]))}
    if item.data.gallery:
        small = thumbnail(np.rint(image.pixels * 255).astype(np.uint8), THUMBNAIL)
        size = (small.shape[0], small.shape[1])
        result |= {"shown": [*size], "outlines": outline_paths(masks, size)}
        files[thumbnail_path(item.key)] = encode_jpeg(small, _THUMBNAIL_QUALITY)
    return Finished(Record(item.key, item.state, result=result), files)


def overlay_path(key: str) -> str:
    """Path of a photo's overlay within the output folder."""
    return f"{OVERLAY_FOLDER}/{key}.jpg"


def file_name(key: str, path: FilePath) -> str:
    """How annotations call a photo: the name of its results, and its suffix if that lacks it."""
    return key if PurePosixPath(key).name == path.name else key + path.suffix
