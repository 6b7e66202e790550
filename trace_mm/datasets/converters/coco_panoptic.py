"""COCO panoptic datasets, checked and brought to the form that mmdet and our metric rely on.

COCO's own files can be used as they are. This is for what one needs beside them: a subset, files
of other tools, whose boxes and areas are often empty, a check that all PNGs are there and fit, and
the instances and semantic maps that belong to the same pixels.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from trace_mm.files import check_outputs, encode_rle, write_atomically
from trace_mm.files.file_names import name_parts
from trace_mm.files.json_file import write_json
from trace_mm.files.json_values import compose
from trace_mm.files.palette import semantic_png
from trace_mm.files.panoptic import (
    panoptic_png,
    read_panoptic_png,
    segment_ids,
    segments_info,
)
from trace_mm.files.panoptic_file import PanopticPngs, read_panoptic_file
from trace_mm.runs.pool import ordered_map
from trace_mm.runs.progress import watched


@dataclass(frozen=True)
class Conversion:
    """What to write of each image.

    Attributes:
        out: folder to write to.
        classes: value in semantic maps of each category id: 1 for the first thing, and so on.
        things: ids of the categories that are things.
        instances: whether instances are wanted.
        semantic: whether semantic maps are wanted.
    """

    out: Path
    classes: dict[int, int]
    things: frozenset[int]
    instances: bool
    semantic: bool


@dataclass(frozen=True)
class ConvertedImage:
    """What became of one image.

    Attributes:
        annotation: for ``panoptic.json``.
        instances: for ``instances.json``, without ``id``.
        corrected: how many segments had another box or area in the source.
        dropped: how many segments of the source no pixel shows.
    """

    annotation: dict[str, Any]
    instances: list[dict[str, Any]] = field(default_factory=list)
    corrected: int = 0
    dropped: int = 0


def convert_coco_panoptic(
    annotations: str | Path,
    folder: str | Path,
    out: str | Path,
    images: Collection[str] | None = None,
    instances: bool = False,
    semantic: bool = False,
    workers: int = 0,
    progress: bool = True,
) -> dict[str, Any]:
    """Write ``panoptic.json`` and ``panoptic/<stem>.png``, named after the image.

    Categories keep their ids; things come first. Boxes and areas are those of the pixels. Segments
    that no pixel shows are dropped. ``info`` says how many were corrected and dropped; for COCO's
    own files both are 0.

    Args:
        annotations: JSON file of the source.
        folder: of its PNGs.
        out: folder to write to. It is made, and files of the same name are replaced.
        images: file names, stems or ids of the images to take; None for all that are annotated.
        instances: also write ``instances.json``: things as COCO instances with RLE, crowds too.
        semantic: also write ``semantic/<stem>.png``: 0 is void, then the categories in the order of
            ``panoptic.json`` from 1, which is the default order of class files.
        workers: processes to work in; 0 means this one. The result does not depend on it.
        progress: show a progress bar.

    Returns:
        The content of ``panoptic.json``.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if ``out`` is where the source is, a file is not as it should be, ``images`` has
            one that the source does not have, or two images have the same stem; names file and
            record.
    """
    if workers < 0:
        raise ValueError(f"there must be 0 workers or more, got {workers}")
    names = ["panoptic.json", *(["instances.json"] if instances else [])]
    folders = ["panoptic", *(["semantic"] if semantic else [])]
    check_outputs(
        files=[Path(out) / name for name in names],
        folders=[Path(out) / name for name in folders],
        read=[annotations, folder],
    )
    source = read_panoptic_file(annotations)
    pairs = _chosen(source, images, str(annotations))
    categories = sorted(source["categories"], key=lambda category: not category["isthing"])
    conversion = Conversion(
        out=Path(out),
        classes={category["id"]: value for value, category in enumerate(categories, start=1)},
        things=frozenset(category["id"] for category in categories if category["isthing"]),
        instances=instances,
        semantic=semantic,
    )
    pngs = PanopticPngs(folder)
    jobs = [(image, entry, pngs.path(entry["file_name"])) for image, entry in pairs]
    results = ordered_map(partial(_convert_image, conversion=conversion), jobs, workers)
    converted = list(watched(results, len(jobs), progress, "panoptic"))
    info = {
        **_info(source),
        "corrected": sum(image.corrected for image in converted),
        "dropped": sum(image.dropped for image in converted),
    }
    shared = {**source, "info": info, "images": [image for image, _ in pairs]}
    records = [image.annotation for image in converted]
    content = {**shared, "annotations": records, "categories": categories}
    if instances:
        found = [record for image in converted for record in image.instances]
        things = [category for category in categories if category["isthing"]]
        write_json(
            conversion.out / "instances.json",
            {
                **shared,
                "annotations": [{"id": number, **one} for number, one in enumerate(found, 1)],
                "categories": things,
            },
        )
    write_json(conversion.out / "panoptic.json", content)
    return content


def describe_panoptic(content: dict[str, Any]) -> str:
    """What a panoptic file holds, in a line."""
    things = {category["id"] for category in content["categories"] if category["isthing"]}
    segments = [one for record in content["annotations"] for one in record["segments_info"]]
    crowds = sum(segment["iscrowd"] for segment in segments)
    of_things = sum(segment["category_id"] in things for segment in segments)
    parts = [
        f"{len(content['images'])} images",
        f"{of_things - crowds} things",
        f"{len(segments) - of_things} stuff segments",
        f"{crowds} crowds",
    ]
    info = _info(content)
    if info.get("corrected"):
        parts.append(f"{info['corrected']} boxes or areas corrected")
    if info.get("dropped"):
        parts.append(f"{info['dropped']} segments without pixels dropped")
    note = [f"note: {info['note']}"] if info.get("note") else []
    return "\n".join([", ".join(parts), *note])


def _chosen(
    source: dict[str, Any], images: Collection[str] | None, label: str
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Pairs of image and annotation, in the order of the source's images."""
    by_image = {record["image_id"]: record for record in source["annotations"]}
    wanted = None if images is None else {*map(compose, images)}
    pairs: list[tuple[dict[str, Any], dict[str, Any]]] = []
    used: set[str] = set()
    stems: dict[str, int | str] = {}
    for image in source["images"]:
        stem = _stem(image)
        names = {str(image["id"]), compose(image["file_name"]), stem}
        if wanted is not None and not names & wanted:
            continue
        if image["id"] in by_image:
            used |= names
            if stem in stems:
                raise ValueError(
                    f"{label}: images {stems[stem]!r} and {image['id']!r} are both called {stem!r}"
                )
            stems[stem] = image["id"]
            pairs.append((image, by_image[image["id"]]))
    unknown = sorted(wanted - used) if wanted is not None else []
    if unknown:
        raise ValueError(f"{label}: {len(unknown)} images are not annotated: {unknown[:5]}")
    if not pairs:
        raise ValueError(f"{label}: no image is annotated")
    return pairs


def _stem(image: dict[str, Any]) -> str:
    """The image's file name without folders and suffix, whatever system wrote it."""
    return PurePosixPath(name_parts(image["file_name"])[-1]).stem


def _info(content: dict[str, Any]) -> dict[str, Any]:
    """What a file says of itself; some tools write null, a list or text."""
    info = content.get("info")
    return info if isinstance(info, dict) else {}


def _convert_image(
    job: tuple[dict[str, Any], dict[str, Any], Path], conversion: Conversion
) -> ConvertedImage:
    image, annotation, path = job
    ids = read_panoptic_png(path, (image["height"], image["width"]))  # (H, W)
    listed = {segment["id"]: segment for segment in annotation["segments_info"]}
    labels = {number: segment["category_id"] for number, segment in listed.items()}
    crowds = {number for number, segment in listed.items() if segment["iscrowd"]}
    try:
        segments = segments_info(ids, labels, crowds)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    name = f"{_stem(image)}.png"
    write_atomically(conversion.out / "panoptic" / name, panoptic_png(ids))
    if conversion.semantic:
        semantic = _semantic_map(ids, labels, conversion.classes)
        write_atomically(conversion.out / "semantic" / name, semantic_png(semantic))
    instances = [
        {"image_id": image["id"], **segment, "segmentation": encode_rle(ids == segment["id"])}
        for segment in segments
        if conversion.instances and segment["category_id"] in conversion.things
    ]
    return ConvertedImage(
        {"image_id": image["id"], "file_name": name, "segments_info": segments},
        [{key: value for key, value in record.items() if key != "id"} for record in instances],
        corrected=sum(_differs(segment, listed[segment["id"]]) for segment in segments),
        dropped=len(listed) - len(segments),
    )


def _semantic_map(ids: Any, labels: dict[int, int], classes: dict[int, int]) -> Any:
    """Value of each pixel's category, (H, W), in uint8 if all categories fit below 255."""
    present = segment_ids(ids)
    values = np.array([0, *(classes[labels[number]] for number in present)])  # (K + 1,)
    positions = np.searchsorted([0, *present], ids)  # (H, W)
    return values[positions].astype(np.uint8 if len(classes) < 255 else np.uint16)  # (H, W)


def _differs(segment: dict[str, Any], listed: dict[str, Any]) -> bool:
    return any(segment[key] != listed.get(key) for key in ("area", "bbox"))
