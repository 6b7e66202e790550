"""True edges of images whose photos are not at hand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.console import note
from trace_mm.datasets.edge_annotations import CocoInstances, CocoPanoptic
from trace_mm.datasets.ground_truth import instance_borders, read_bsds_borders
from trace_mm.files import annotated_size
from trace_mm.files.file_names import plain_name
from trace_mm.files.id_maps import folder_numbering, read_id_map


@dataclass(frozen=True)
class EdgeTruth:
    """One image's true edges.

    Attributes:
        name: of the image, without suffix, by which its edge map is found.
        place: what messages call it.
        edges: reads them, bool (A, H, W), one map for each annotator.
    """

    name: str
    place: str
    edges: Callable[[], NDArray[np.bool_]] = field(repr=False)


def truths_of_folder(folder: Path, void: int | None = None) -> list[EdgeTruth]:
    """Of id maps (``<stem>.png``) and BSDS500's ``<stem>.mat``, by name.

    Args:
        folder: of the annotations, each of which counts.
        void: id whose borders do not count.

    Raises:
        FileNotFoundError: if there is no such folder, or none of these files in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of annotations")
    files = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".mat"))
    if not files:
        raise FileNotFoundError(f"{folder}: no .png or .mat file in this folder")
    told = folder_numbering([path for path in files if path.suffix == ".png"])
    if told:
        note(told)
    return [EdgeTruth(path.stem, str(path), partial(_read, path, void)) for path in files]


def truths_of_instances(file: Path) -> list[EdgeTruth]:
    """Of a COCO instances JSON; see :class:`trace_mm.datasets.edge_annotations.CocoInstances`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not as it should be.
    """
    source = CocoInstances("", str(file), "", None, True)

    def read(info: dict[str, Any], place: str) -> NDArray[np.bool_]:
        if info["stated_size"] is None:
            raise ValueError(f"{place}: its height and width are not stated")
        contents = [one.content for one in info["annotations"]]
        return source.edges(info, annotated_size(contents, info["stated_size"]))

    return [
        EdgeTruth(plain_name(name), place, partial(read, info, place))
        for name, info in source.annotated()
        for place in [f"{file}: image {info['image_id']!r} ({name})"]
    ]


def truths_of_panoptic(file: Path, folder: Path, void: int | None = None) -> list[EdgeTruth]:
    """Of a COCO panoptic JSON and the folder of its PNGs.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not as it should be.
    """
    source = CocoPanoptic("", str(file), str(folder), void, True)
    return [
        EdgeTruth(plain_name(name), info["mask_path"], partial(source.edges, info, (0, 0)))
        for name, info in source.annotated()
    ]


def _read(path: Path, void: int | None) -> NDArray[np.bool_]:
    if path.suffix == ".mat":
        return read_bsds_borders(path)
    return instance_borders(read_id_map(path).ids, void)[None]
