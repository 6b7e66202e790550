"""The images that pseudo-panoptic labels are made of, with their semantic maps and ids."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from trace_mm.apis.instance_records import FileState, file_state
from trace_mm.files import OtherFiles, walk_images
from trace_mm.jobs.places import check_panoptic_places
from trace_mm.panoptic import PanopticClasses, SemanticMaps
from trace_mm.refine import ImageIndex


@dataclass(frozen=True)
class PanopticInputs:
    """Images by name, which is the path within their folder.

    Attributes:
        images: path of each image, by name, sorted.
        maps: path of its semantic map; images without one are left out.
        reader: reads the maps.
        ids: the id of each image that has a map.
        notes: what was passed over.
    """

    images: dict[str, Path]
    maps: dict[str, Path]
    reader: SemanticMaps
    ids: dict[str, int]
    notes: list[str] = field(default_factory=list)

    @property
    def unused_maps(self) -> int:
        """How many maps have no image."""
        return len(self.reader) - len(self.maps)

    def image_states(self) -> dict[str, FileState]:
        """Size and modification time of each image, by name."""
        return {name: file_state(path) for name, path in self.images.items()}

    def map_state(self, name: str) -> str:
        """What changes with an image's map; empty if it has none."""
        path = self.maps.get(name)
        if path is None:
            return ""
        size, modified = file_state(path)
        return f"{path.relative_to(self.reader.folder).as_posix()} {size} {modified}"

    def shown(self, most: int) -> frozenset[str]:
        """At most so many images that have a map, spread evenly over all."""
        names = list(self.maps)
        count = min(most, len(names))
        return frozenset(names[number * len(names) // count] for number in range(count))


def find_inputs(
    images: str | os.PathLike[str],
    semantic: str | os.PathLike[str],
    classes: PanopticClasses,
    out: Path,
    annotations: str | os.PathLike[str] | None = None,
) -> PanopticInputs:
    """Find the images and their maps.

    Args:
        images: folder, which is searched with its subfolders.
        semantic: folder of semantic maps, see :class:`SemanticMaps`.
        classes: what the ids in them mean.
        out: where results will go.
        annotations: a COCO file whose image ids are used, by file name. None: images count from 1
            by name, those without a map as well.

    Raises:
        FileNotFoundError: if an input does not exist or holds no image.
        ValueError: if two images would share results, no image has a map, ``annotations`` lacks an
            image that has one, or results would be written among what is read.
    """
    root = Path(images)
    check_panoptic_places(root, semantic, out, read=[annotations])
    if not root.is_dir():
        raise FileNotFoundError(f"{images}: no such folder of images")
    others = OtherFiles()
    files = walk_images(root, others=others)
    found = sorted((path.relative_to(root).as_posix(), path) for path in files)
    if not found:
        lacking = f"{images}: there is no image in it"
        raise FileNotFoundError("; ".join([lacking, *others.describe("in it")]))
    paths = dict(found)
    _check_distinct(list(paths), root)
    reader = SemanticMaps(semantic, classes)
    maps = reader.match(list(paths))
    if not maps:
        raise ValueError(
            f"{semantic}: none of its {len(reader)} semantic maps is called like one of the "
            f"{len(paths)} images in {images}, such as {found[0][0]}"
        )
    ids = {name: number for number, name in enumerate(paths, start=1)}
    if annotations is not None:
        ids = _listed_ids(paths, maps, annotations)
    notes = [*others.describe(root), *reader.others.describe(reader.folder, "maps")]
    return PanopticInputs(paths, maps, reader, {name: ids[name] for name in maps}, notes)


def _check_distinct(names: Sequence[str], root: Path) -> None:
    """Refuse images that differ only in suffix or case: one file could not hold the labels of both.

    Raises:
        ValueError: naming two such images.
    """
    owners: dict[str, str] = {}
    for name in names:
        key = PurePosixPath(name).with_suffix("").as_posix().casefold()
        owner = owners.setdefault(key, name)
        if owner != name:
            raise ValueError(f"{root / owner} and {root / name}: their labels would have one name")


def _listed_ids(
    paths: dict[str, Path], maps: dict[str, Path], annotations: str | os.PathLike[str]
) -> dict[str, int]:
    """The ids that a COCO file has for the images."""
    listed = ImageIndex(list(paths.values()), annotations).ids()
    ids = {name: listed[path] for name, path in paths.items() if path in listed}
    missing = [name for name in maps if name not in ids]
    if missing:
        raise ValueError(
            f"{annotations}: lists no image {missing[0]}, of which there is a semantic map "
            f"({len(missing)} are missing)"
        )
    return ids
