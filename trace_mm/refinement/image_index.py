"""Which image file the masks of a record belong to."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from trace_mm.files import OtherFiles
from trace_mm.files.coco_file import CocoFile, CocoImage
from trace_mm.files.file_names import FileIndex, name_parts
from trace_mm.files.folders import images_in
from trace_mm.files.json_record import records_of
from trace_mm.files.json_values import ImageId, as_id, compose
from trace_mm.files.store_paths import FilePath, StorePath, as_path, packed_path, unpacked_path
from trace_mm.refinement.readers.base import BadMaskError, MaskRecord
from trace_mm.runs.packed import PackedStrings

_SHOWN = 3  # files or records that a message names


class ImageIndex:
    """Finds the image files of records by what sources write of them.

    A record's image is found by its path, as many of its last parts as there are; by its name
    without suffix, since masks are often files of another type; or, if the record has an id only,
    by that id: in the ``images`` of a COCO file if one is given, else the number that the file name
    is or ends with (139 is ``000000000139.jpg`` or ``COCO_val2014_000000000139.jpg``), or all its
    digits joined (2007000032 is ``2007_000032.jpg``). Each must lead to one file.

    A search takes the same time however many images there are.

    Args:
        images: a folder, local or of a store, which is searched with its subfolders; or image
            files.
        annotations: a COCO file whose ``images`` tell the names of ids; None for none.

    Attributes:
        others: what of the folder is not called like an image.

    Raises:
        FileNotFoundError: if there is no such folder, no image in it, or no such COCO file.
        ValueError: if the COCO file has no ``images``.
    """

    def __init__(
        self,
        images: str | os.PathLike[str] | StorePath | Sequence[FilePath],
        annotations: str | os.PathLike[str] | None = None,
    ) -> None:
        self.others = OtherFiles()
        self._places = PackedStrings()  # with the states of stores' files
        texts: list[str] = []  # as text, since there may be millions
        for path in _image_files(images, self.others):
            texts.append(path.as_posix())
            if isinstance(path, StorePath):
                self._places.append(packed_path(path))
        assert len(self._places) in (0, len(texts)), "all are local, or none"
        self._files = FileIndex(texts)
        self._annotations = annotations
        self._names_of_ids = None if annotations is None else _names_by_id(Path(annotations))

    def __len__(self) -> int:
        return len(self._files.paths)

    def paths(self) -> Iterator[FilePath]:
        """All image files."""
        return map(self._path, range(len(self)))

    def find(self, record: MaskRecord) -> FilePath:
        """The image file of a record.

        Raises:
            BadMaskError: if there is none or more than one, or the record is bad; names the record
                and, of several files, the first.
        """
        if record.bad is not None:
            raise BadMaskError(record.bad)
        name, number = record.image, record.image_id
        if name is None and self._names_of_ids is not None and number is not None:
            name = self._names_of_ids.get(number)
            if name is None:
                raise BadMaskError(f"{record.name}: {self._annotations} lists no image of this id")
        if name is None and isinstance(number, int):
            return self._one(self._files.numbered(number), record)
        if name is None:
            name = number if isinstance(number, str) else ""
        return self._one(self._files.find(name, number), record)

    def has(self, name: str) -> bool:
        """Whether there is an image, or several, of a name with or without suffix."""
        return bool(self._files.find(name))

    def ids(self) -> dict[FilePath, int]:
        """The ids that the COCO file has for images; those that it does not list are left out.

        Raises:
            ValueError: if an id is no integer, or two ids mean one image; names the file.
        """
        found: dict[FilePath, int] = {}
        for number, name in (self._names_of_ids or {}).items():
            if not isinstance(number, int):
                raise ValueError(f"{self._annotations}: image id {number!r} is no integer")
            try:
                path = self.find(MaskRecord(name, number, None))
            except BadMaskError:
                continue  # an image that is not here
            if found.setdefault(path, number) != number:
                raise ValueError(
                    f"{self._annotations}: the images {found[path]} and {number} would both be "
                    f"{path}"
                )
        return found

    def match(self, records: Iterable[MaskRecord]) -> list[FilePath | BadMaskError]:
        """The image files of many records, none of them twice.

        Names that differ in their folders only lead to one file where the others' images are
        missing. The file then belongs to the record that agrees with most of its path.

        Returns:
            For each record its file, or why it has none.
        """
        listed = list(records)
        found: list[FilePath | BadMaskError] = []
        claims: dict[FilePath, list[int]] = defaultdict(list)
        for number, record in enumerate(listed):
            try:
                path = self.find(record)
            except BadMaskError as error:
                found.append(error)
            else:
                found.append(path)
                claims[path].append(number)
        for path, numbers in claims.items():
            agreement = [_agreement(path, listed[number]) for number in numbers]
            for number, parts in zip(numbers, agreement, strict=True):
                if len(numbers) > 1 and (parts < max(agreement) or agreement.count(parts) > 1):
                    others = [listed[other].name for other in numbers if other != number]
                    found[number] = BadMaskError(
                        f"{listed[number].name}: the only such image, {path}, may be that of "
                        f"{', '.join(others[:_SHOWN])}"
                    )
        return found

    def _path(self, index: int) -> FilePath:
        return unpacked_path((self._places or self._files.paths)[index])

    def _one(self, indices: list[int], record: MaskRecord) -> FilePath:
        if len(indices) == 1:
            return self._path(indices[0])
        if not indices:
            raise BadMaskError(
                f"{record.name}: there is no such image; the first of the {len(self)} is "
                f"{self._files.paths[0]}"
            )
        shown = ", ".join(self._files.paths[index] for index in indices[:_SHOWN])
        raise BadMaskError(f"{record.name}: it may be any of {len(indices)} images: {shown}")


def _image_files(
    images: str | os.PathLike[str] | StorePath | Sequence[FilePath], others: OtherFiles
) -> Iterator[FilePath]:
    """The image files, of which there is one at least."""
    if isinstance(images, (str, os.PathLike, StorePath)):
        paths, origin = images_in(as_path(images), others), str(images)
    else:
        paths, origin = iter(images), "the list of images"
    found = False
    for path in paths:
        found = True
        yield path
    if not found:
        lacking = f"{origin}: there is no image in it"
        raise FileNotFoundError("; ".join([lacking, *others.describe("in it")]))


def _names_by_id(path: Path) -> dict[ImageId, str]:
    """File names by id; entries that cannot be read are as if they were not there.

    Raises:
        ValueError: if it is no COCO file, or an id has two names.
    """
    names: dict[ImageId, str] = {}
    file = CocoFile.read(path).require("images")
    for image in records_of(file.content["images"], CocoImage, file.name, "images", lambda _: None):
        number, name = as_id(image.content.get("id")), image.file_name
        if number is not None and name is not None and names.setdefault(number, name) != name:
            raise image.bad(f"two images have the id {number!r}")
    return names


def _agreement(path: FilePath, record: MaskRecord) -> int:
    """In how many of its last parts a record's name agrees with a path, from the folder on."""
    whole = path.absolute() if isinstance(path, Path) else path.pure
    folders = whole.parent.parts[::-1]
    agreeing = 0
    for mine, theirs in zip(name_parts(record.image or "")[-2::-1], folders, strict=False):
        if mine != compose(theirs):
            break
        agreeing += 1
    return agreeing
