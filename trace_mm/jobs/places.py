"""Where results go, and that this lies apart from what is read; knows before anything is loaded."""

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from trace_mm.files import check_outputs
from trace_mm.files.store_paths import StorePath, as_path
from trace_mm.runs.job import Places

AnyPath = str | os.PathLike[str]

MANIFEST_FILE = "manifest.jsonl"
REPORT_FILE = "report.html"
EDGE_FOLDERS = {"png": "edges", "npz": "npz", "overlay": "overlay"}
"""Folders of the results of edge runs, by what is saved."""

OVERLAY_FOLDER, GALLERY_FOLDER = "overlays", "gallery"
INSTANCES_FILE, GALLERY_FILE = "instances.json", "index.html"
COCO_FORMAT = "coco"
"""The format of ``INSTANCES_FILE``, which every run of segments writes."""

PANOPTIC_FOLDERS = ("panoptic", "semantic", "pictures")
PANOPTIC_FILES = ("panoptic.json", "instances.json", "summary.html")


def local_places(*places: AnyPath | StorePath) -> list[Path]:
    """Those of places that are of this machine: onto others nothing is written."""
    return [place for place in map(as_path, places) if isinstance(place, Path)]


def result_folders(out: Path) -> list[Path]:
    """All folders of ``out`` that edges can go to."""
    return [out / folder for folder in EDGE_FOLDERS.values()]


def parts_folder(out: Path) -> Path:
    """The folder of what is known of an unfinished refinement to the file ``out``."""
    return out.with_name(out.name + ".parts")


def edge_places(images: Iterable[AnyPath], out: Path) -> Places:
    """The places of a run of edges.

    Args:
        images: files.
        out: folder of the results.
    """
    folders = tuple(EDGE_FOLDERS.values())
    return Places(top=out, folders=folders, kinds=(".png", ".npz"), read=images)


def segment_places(
    images: Iterable[AnyPath],
    out: Path,
    formats: Iterable[str] = (),
    edges: Iterable[Path] = (),
) -> Places:
    """The places of a run of segments.

    Args:
        images: files.
        out: folder of the results.
        formats: that masks are written in, each a folder of its own, besides COCO.
        edges: folders of stored edges.
    """
    return Places(
        top=out,
        folders=(OVERLAY_FOLDER, GALLERY_FOLDER),
        kinds=(".jpg",),
        files=[out / INSTANCES_FILE, out / GALLERY_FILE],
        others=[out / name for name in formats],
        read=images,
        searched=[*edges],
    )


def segment_folders(out: Path, formats: Iterable[str]) -> list[Path]:
    """All folders of ``out`` that hold pictures once segments are written."""
    return [out / name for name in (OVERLAY_FOLDER, GALLERY_FOLDER, *formats)]


def check_demo_places(images: Iterable[AnyPath], out: Path) -> None:
    """Refuse a folder of a demo that cannot be written, or where images lie that are shown.

    Raises:
        ValueError: if an image would be written onto; names it.
        OSError: if the folder cannot be written; names it.
    """
    folders = [out / EDGE_FOLDERS[kind] for kind in ("png", "overlay")]
    check_outputs(files=[out / REPORT_FILE], folders=folders, read=images)


def refinement_places(
    masks: AnyPath,
    images: AnyPath,
    out: AnyPath,
    *,
    edges: Iterable[Path] = (),
    annotations: AnyPath | None = None,
    show_dir: AnyPath | None = None,
) -> Places:
    """The places of a refinement.

    Args:
        masks: see :func:`trace_mm.apis.refine_masks.refine_masks`, also for the next two.
        images: likewise.
        out: likewise.
        edges: folders of stored edges.
        annotations: as of ``refine_masks``.
        show_dir: likewise.
    """
    return Places(
        top=parts_folder(Path(out)),
        files=[Path(out)],
        others=[None if show_dir is None else Path(show_dir)],
        listed=None if show_dir is None else Path(show_dir),
        read=[annotations],
        searched=[*local_places(masks, images), *edges],
    )


def panoptic_places(
    images: AnyPath | StorePath,
    semantic: AnyPath | StorePath,
    out: AnyPath,
    edges: Iterable[AnyPath] = (),
    read: Iterable[AnyPath | None] = (),
) -> Places:
    """The places of a run of panoptic labels.

    Args:
        images: folder of images, local or of a store.
        semantic: folder of semantic maps, likewise.
        out: folder to write.
        edges: folders of stored edges.
        read: files that are read; None is left out.
    """
    return Places(
        top=Path(out),
        folders=PANOPTIC_FOLDERS,
        kinds=(".png",),
        files=[Path(out) / name for name in PANOPTIC_FILES],
        read=read,
        searched=local_places(images, semantic, *edges),
    )


def output_path(folder: str, name: str) -> str:
    """Path of an image's PNG in one of a run's folders, relative to the output folder."""
    return f"{folder}/{PurePosixPath(name).with_suffix('.png')}"


def semantic_places(
    images: AnyPath | StorePath,
    scores: AnyPath | StorePath,
    out: AnyPath,
    edges: Iterable[AnyPath] = (),
) -> Places:
    """The places of a run of semantic maps.

    Args:
        images: folder of images, local or of a store.
        scores: folder of score maps, likewise.
        out: folder to write.
        edges: folders of stored edges.
    """
    return Places(
        top=Path(out),
        folders=("semantic",),
        kinds=(".png",),
        searched=local_places(images, scores, *edges),
    )
