"""What comes of the records of segmented photos: a COCO file, other formats, and a gallery."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from trace_mm import __version__
from trace_mm.exporters import open_exporter
from trace_mm.files import write_atomically
from trace_mm.files.coco_writer import write_coco
from trace_mm.files.store_paths import FilePath
from trace_mm.jobs.mask_records import instances_of, numbered_annotations
from trace_mm.jobs.places import GALLERY_FILE, GALLERY_FOLDER, INSTANCES_FILE
from trace_mm.runs.journal import Journal
from trace_mm.runs.records import Record
from trace_mm.visualization.gallery import GalleryEntry, GalleryPage, jpeg_address, render_gallery

ABOUT = "masks of photos"
CATEGORIES = {1: "object"}
PAGE_PHOTOS = 200
EMBEDDED_BYTES = 16_000_000  # of thumbnails: with so many a page holds them, else it names files
_SHOWN_BY_BROWSERS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif"}


@dataclass(frozen=True)
class SegmentedPhotos:
    """The photos of a run whose masks are found.

    Attributes:
        journal: their records.
        count: of all photos.
        path_of: where the photo of a number is.
    """

    journal: Journal
    count: int
    path_of: Callable[[int], FilePath]

    def __iter__(self) -> Iterator[tuple[int, Record]]:
        """Id, from 1 up, and record of each."""
        for number in range(self.count):
            record = self.journal.record(number)
            if record is not None and record.error is None:
                yield number + 1, record

    def path(self, image_id: int) -> FilePath:
        """Where the photo with an id is."""
        return self.path_of(image_id - 1)


def write_segmentation(
    out: Path, photos: SegmentedPhotos, formats: Sequence[str], placing: str
) -> list[str]:
    """Write ``instances.json``, a folder for each format, and the gallery.

    Args:
        out: folder of the results.
        photos: with their records.
        formats: of :func:`trace_mm.exporters.export_formats`.
        placing: "copy", "link" or "none": what becomes of photos in formats that want them.

    Returns:
        What formats could not hold.

    Raises:
        OSError: if something cannot be written.
    """
    settings = {k: v for k, v in photos.journal.settings.items() if k != "results"}
    write_coco(
        out / INSTANCES_FILE,
        {"description": f"{ABOUT} (trace_mm)", "version": __version__, **settings},
        (_image(number, record) for number, record in photos),
        numbered_annotations(photos),
        [{"id": label, "name": name} for label, name in CATEGORIES.items()],
    )
    remarks = [note for name in formats for note in _export(out / name, name, photos, placing)]
    write_gallery(out, photos)
    return remarks


def write_gallery(out: Path, photos: SegmentedPhotos) -> None:
    """Write the pages: ``index.html``, and ``index-2.html`` and so on where there are many photos.

    Thumbnails are in the pages themselves if they are small enough together.
    """
    sizes = [record.outputs[thumbnail_path(record.key)] for _, record in photos]
    count = max(1, -(-len(sizes) // PAGE_PHOTOS))
    names = [GALLERY_FILE, *(f"index-{number}.html" for number in range(2, count + 1))]
    embedded = sum(sizes) <= EMBEDDED_BYTES
    found = iter(photos)
    for number, name in enumerate(names):
        entries = [
            _entry(out, record, photos.path(image_id), embedded)
            for image_id, record in islice(found, PAGE_PHOTOS)
        ]
        page = GalleryPage(number, names, len(sizes), __version__)
        write_atomically(out / name, render_gallery(entries, page).encode("utf-8", "replace"))
    _remove_further(out, count)


def _remove_further(out: Path, count: int) -> None:
    """Remove pages of an earlier run that had more photos."""
    number = count + 1
    while (page := out / f"index-{number}.html").is_file():
        page.unlink()
        number += 1


def _entry(out: Path, record: Record, path: FilePath, embedded: bool) -> GalleryEntry:
    found, file = record.result, thumbnail_path(record.key)
    picture = jpeg_address((out / file).read_bytes()) if embedded else _address(file)
    scores = [annotation["score"] for annotation in found["annotations"]]
    height, width = found["shown"]
    masks = tuple(zip(scores, found["outlines"], strict=True))
    return GalleryEntry(
        found["file_name"], (height, width), picture, masks, _original_address(out, path)
    )


def thumbnail_path(key: str) -> str:
    """Path of a photo's thumbnail within the output folder."""
    return f"{GALLERY_FOLDER}/{key}.jpg"


def _original_address(out: Path, path: FilePath) -> str:
    """Where a page in ``out`` finds a photo; empty if no browser would show it."""
    if not isinstance(path, Path) or path.suffix.lower() not in _SHOWN_BY_BROWSERS:
        return ""
    try:
        return _address(os.path.relpath(path, out))
    except ValueError:  # another drive
        return ""


def _address(path: str) -> str:
    """A relative path as an address; "./" so that a colon is none of a scheme."""
    return "./" + quote(os.fsencode(Path(path).as_posix()))


def _export(folder: Path, name: str, photos: SegmentedPhotos, placing: str) -> list[str]:
    """Write a format; what it could not hold, a line each."""
    with open_exporter(name, folder, CATEGORIES, photos=placing, overwrite=True) as exporter:
        for number, record in photos:
            found = record.result
            masks = instances_of(found["annotations"], (found["height"], found["width"]))
            exporter.add(found["file_name"], masks, photos.path(number), number)
    return [f"{name}: {note}" for note in exporter.notes]


def _image(number: int, record: Record) -> Mapping[str, Any]:
    found = record.result
    size = {side: found[side] for side in ("height", "width")}
    return {"id": number, "file_name": found["file_name"], **size}
