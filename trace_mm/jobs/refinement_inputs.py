"""The masks that a run refines, each with its image, and what of them is left out."""

import os
from dataclasses import dataclass, field

from trace_mm.files.store_paths import FilePath, as_path, name_within, packed_path
from trace_mm.jobs.places import AnyPath
from trace_mm.refinement.image_index import ImageIndex
from trace_mm.refinement.readers import BadMaskError, MaskReader, MaskRecord
from trace_mm.runs.packed import Keys, PackedStrings


@dataclass(frozen=True)
class RefinementInputs:
    """Images with their masks, those that are listed without masks too, and records of no image.

    Attributes:
        keys: names of images, which are their paths within the folder, and the numbers of records
            that have no image, such as ``"record 3"``.
        paths: of each key's image, packed; empty for a record without.
        records: masks of each key's image; why there is no image for a record without.
        ids: of each key's image; 0 for a record without.
        others: names of the images in the folder that the masks do not mention.
        notes: what is left out or was decided for the user, and how to change it.
    """

    keys: Keys
    paths: PackedStrings
    records: list[MaskRecord | str]
    ids: list[int]
    others: PackedStrings
    notes: list[str] = field(default_factory=list)

    def names(self) -> list[str]:
        """Those of the images."""
        records = zip(self.keys, self.records, strict=True)
        return [key for key, record in records if isinstance(record, MaskRecord)]


def find_inputs(
    reader: MaskReader,
    images: AnyPath,
    annotations: str | os.PathLike[str] | None,
    skip_bad: bool,
) -> RefinementInputs:
    """Find the image of each record.

    Args:
        reader: of the masks.
        images: folder of the images, local or of a store.
        annotations: a COCO file whose ``images`` tell names and ids; None for none.
        skip_bad: leave records without an image out.

    Raises:
        FileNotFoundError: if there is no such folder or file.
        ValueError: if a record has no image and they are not skipped, none has one, or there is no
            record at all; names the file and the record.
    """
    root, index = as_path(images), ImageIndex(images, annotations)
    records = reader.records(index.has)
    if not records:
        raise ValueError(f"{reader.path}: there are no masks in it")
    found: list[tuple[FilePath, MaskRecord]] = []
    missing: dict[str, str] = {}
    masked = [(number, record) for number, record in enumerate(records) if not _is_empty(record)]
    matched = index.match(record for _, record in masked)
    for (number, record), path in zip(masked, matched, strict=True):
        if not isinstance(path, BadMaskError):
            found.append((path, record))
        elif not skip_bad:
            raise BadMaskError(f"{reader.path}: {path} (--skip-bad leaves such records out)")
        else:
            missing[f"record {number}"] = f"{reader.path}: {path}"
    if missing and not found:
        raise ValueError(
            f"{reader.path}: none of its {len(missing)} records with masks can be used; the first: "
            f"{next(iter(missing.values()))}"
        )
    known = None if annotations is None else index.ids()
    empty, absent = _find_empty(index, records, {path for path, _ in found}, known)
    names = {name_within(path, root): (path, record) for path, record in found + empty}
    every = (name_within(path, root) for path in index.paths())
    others = PackedStrings(name for name in every if name not in names)
    notes = [*reader.notes, *index.others.describe(root)]
    if absent:
        where = root if annotations is None else f"{root} and {annotations}"
        notes.append(
            f"{reader.path}: {absent} images that it lists without masks are not in {where}"
        )
    if 2 * len(missing) > len(masked):
        notes.append(
            f"{reader.path}: {len(missing)} of {len(masked)} records have no image in {root}: are "
            f"the masks of this folder? --annotations tells the names of ids"
        )
    ids = _image_ids(names, known)
    keys = Keys(sorted([*names, *missing]))
    return RefinementInputs(
        keys=keys,
        paths=PackedStrings(packed_path(names[key][0]) if key in names else "" for key in keys),
        records=[names[key][1] if key in names else missing[key] for key in keys],
        ids=[ids.get(key, 0) for key in keys],
        others=others,
        notes=notes,
    )


def _is_empty(record: MaskRecord) -> bool:
    return record.empty and record.bad is None


def _find_empty(
    index: ImageIndex,
    records: list[MaskRecord],
    taken: set[FilePath],
    known: dict[FilePath, int] | None,
) -> tuple[list[tuple[FilePath, MaskRecord]], int]:
    """Images that are listed without masks, and how many of these are not there."""
    empty = [record for record in records if _is_empty(record)]
    found = [
        (path, record)
        for record, path in zip(empty, index.match(empty), strict=True)
        if not isinstance(path, BadMaskError)
        and path not in taken
        and (known is None or path in known)
    ]
    return found, len(empty) - len(found)


def _image_ids(
    names: dict[str, tuple[FilePath, MaskRecord]], known: dict[FilePath, int] | None
) -> dict[str, int]:
    """Ids by name: those that are known, else the source's if it has one each, else from 1 up.

    Raises:
        ValueError: if some are known, but not that of each image; names the first.
    """
    if known is not None:
        missing = [str(path) for path, _ in names.values() if path not in known]
        if missing:
            raise ValueError(f"{missing[0]}: the COCO file of annotations lists no such image")
        return {name: known[path] for name, (path, _) in names.items()}
    given = [record.image_id for _, record in names.values()]
    numbers = [number for number in given if isinstance(number, int)]
    if len(set(numbers)) == len(names):
        return dict(zip(names, numbers, strict=True))
    return {name: number for number, name in enumerate(sorted(names), start=1)}
