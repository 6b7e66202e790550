"""Which classes there are, which of them are things, and how they are numbered in each format."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.files.id_maps import DEEP_VOID, VOID
from trace_mm.files.json_file import read_json

VOID_ID, DEEP_VOID_ID = VOID, DEEP_VOID
"""What semantic maps hold where nothing is known: of classes below 255, and of more classes."""

VOID_CLASS = -1
"""The class number of pixels without a class."""

MAX_ID = DEEP_VOID - 1
"""The largest id of a class that a semantic map of 16 bits can hold."""

_FOLDER = Path(__file__).parent / "class_files"
_KEYS = ("thing_classes", "stuff_classes", "ids", "category_ids")
_BACKGROUND = "background"


def shipped_class_files() -> dict[str, Path]:
    """The class files that come with this package, by name: ``coco2017`` and ``voc2012``."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.json"))}


@dataclass(frozen=True)
class PanopticClasses:
    """The classes of a panoptic dataset. A class number is an index into ``names``, things first.

    Attributes:
        thing_classes: names of countable classes.
        stuff_classes: names of the others.
        ids: the id of each class in semantic maps, in the order of ``names``; 0 to 65534.
            255 can be one: it is then void in no map.
        category_ids: its id in COCO files, in that order; positive.

    Raises:
        ValueError: if there is no class, a name or id repeats, or an id is out of range.
    """

    thing_classes: tuple[str, ...]
    stuff_classes: tuple[str, ...]
    ids: tuple[int, ...]
    category_ids: tuple[int, ...]

    @classmethod
    def create(
        cls,
        thing_classes: Sequence[str],
        stuff_classes: Sequence[str],
        ids: Mapping[str, int] | None = None,
        category_ids: Mapping[str, int] | None = None,
    ) -> "PanopticClasses":
        """Classes, with the usual numbers where none are given.

        Args:
            thing_classes: names.
            stuff_classes: names.
            ids: the id of each class in semantic maps, by name. None: 0 is the first stuff class if
                that is called "background", else 0 is void; things follow from 1 on, then the other
                stuff.
            category_ids: the id of each class in COCO files, by name. None: from 1 on, in order.

        Raises:
            ValueError: as the class, or if one of the maps lacks a class or has another.
        """
        things, stuff = tuple(thing_classes), tuple(stuff_classes)
        names = things + stuff
        default = dict(zip(names, range(1, len(names) + 1), strict=True))
        return cls(
            things,
            stuff,
            _numbers("ids", names, _default_ids(things, stuff) if ids is None else ids),
            _numbers("category_ids", names, default if category_ids is None else category_ids),
        )

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> "PanopticClasses":
        """Read a class file, or one that is shipped.

        It is a JSON object of ``thing_classes`` and ``stuff_classes``, lists of names, and
        optionally ``ids`` and ``category_ids``, numbers by name; see :meth:`create`.

        Args:
            path: a file, or the name of a shipped one, see :func:`shipped_class_files`.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is not a class file; names it and the cause.
        """
        file = shipped_class_files().get(os.fspath(path), Path(path))
        if not file.is_file():
            shipped = ", ".join(shipped_class_files())
            raise FileNotFoundError(f"{path}: no such class file; shipped are {shipped}")
        content = read_json(file)
        try:
            return cls.create(**_checked(content))
        except ValueError as error:
            raise ValueError(f"{file}: not a class file: {error}") from error

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("there must be at least one class")
        _check_unique("class", self.names)
        for kind, numbers in (("ids", self.ids), ("category_ids", self.category_ids)):
            if len(numbers) != len(self.names):
                raise ValueError(f"there are {len(self.names)} classes, but {len(numbers)} {kind}")
            _check_unique(kind, numbers)
        bad = [number for number in self.ids if not 0 <= number <= MAX_ID]
        if bad:
            raise ValueError(f"ids must lie in 0 to {MAX_ID}, got {bad[0]}")
        if min(self.category_ids) < 1:
            raise ValueError(f"category_ids must be positive, got {min(self.category_ids)}")

    @property
    def names(self) -> tuple[str, ...]:
        """All classes, things first."""
        return self.thing_classes + self.stuff_classes

    @property
    def num_things(self) -> int:
        """How many classes are things: those with numbers below it."""
        return len(self.thing_classes)

    @cached_property
    def semantic_ids(self) -> dict[int, int]:
        """Class numbers by the id in semantic maps."""
        return {number: index for index, number in enumerate(self.ids)}

    @property
    def void_id(self) -> int:
        """What maps of these classes hold where nothing is known: 255 if all ids are below it."""
        return VOID_ID if max(self.ids) < VOID_ID else DEEP_VOID_ID

    def categories(self) -> list[dict[str, Any]]:
        """The ``categories`` of a COCO panoptic file, things first, as mmdet needs them."""
        return [
            {"id": self.category_ids[index], "name": name, "isthing": int(index < self.num_things)}
            for index, name in enumerate(self.names)
        ]

    def describe(self) -> str:
        """What changes with anything about the classes, in a few words."""
        content = json.dumps([getattr(self, key) for key in _KEYS])
        digest = hashlib.sha256(content.encode("ascii")).hexdigest()[:16]
        return f"{self.num_things} things, {len(self.stuff_classes)} stuff, {digest}"

    def classes_of(
        self, ids: NDArray[Any], label: str = "semantic map", eight_bits: bool = False
    ) -> NDArray[np.int32]:
        """Class numbers of a semantic map.

        Args:
            ids: (H, W), whole numbers or bool. 65535 is void, and so is 0 if no class has that id.
                255 is void as well, if no class has it and the map has 8 bits or the ids of all
                classes are below 255.
            label: what messages call it.
            eight_bits: whether it was stored with 8 bits, whatever the type of ``ids``.

        Returns:
            int32 (H, W), -1 where void.

        Raises:
            ValueError: if this is no map of whole numbers, or some mean no class; names them.
        """
        if ids.ndim != 2 or ids.dtype.kind not in "biu":
            raise ValueError(f"{label}: must be whole numbers (H, W), got {ids.dtype} {ids.shape}")
        low, high = (int(ids.min()), int(ids.max())) if ids.size else (0, 0)
        if low < 0 or high > DEEP_VOID_ID:
            raise ValueError(
                f"{label}: ids must lie in 0 to {DEEP_VOID_ID}, there are {low} to {high}"
            )
        table = self._table.copy()
        shallow = eight_bits or ids.dtype.itemsize == 1 or self.void_id == VOID_ID
        if shallow and VOID_ID not in self.ids:
            table[VOID_ID] = VOID_CLASS
        found: NDArray[np.int32] = table[ids.astype(np.intp)]  # (H, W)
        unknown = np.unique(ids[found == _UNKNOWN])
        if len(unknown):
            shown = ", ".join(str(int(number)) for number in unknown[:5])
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            raise ValueError(
                f"{label}: ids {shown}{more} mean no class; the {len(self.names)} classes have ids "
                f"{min(self.ids)} to {max(self.ids)}, and {self.void_id} is void"
            )
        return found

    def ids_of(self, classes: NDArray[np.int32]) -> NDArray[Any]:
        """The semantic map of class numbers, the inverse of :meth:`classes_of`.

        Args:
            classes: int (H, W), -1 is void.

        Returns:
            (H, W), uint8 with 255 where void; if an id needs it, uint16 with 65535.
        """
        kind = np.uint8 if self.void_id == VOID_ID else np.uint16
        table = np.array([*self.ids, self.void_id], dtype=kind)  # void is -1, the last
        found: NDArray[Any] = table[classes]  # (H, W)
        return found

    @cached_property
    def _table(self) -> NDArray[np.int32]:
        """The class number of each id that a map may hold."""
        table = np.full(DEEP_VOID_ID + 1, _UNKNOWN, dtype=np.int32)
        table[[0, DEEP_VOID_ID]] = VOID_CLASS
        for number, index in self.semantic_ids.items():
            table[number] = index
        return table


_UNKNOWN = -2  # in the table of ids


def _default_ids(things: tuple[str, ...], stuff: tuple[str, ...]) -> dict[str, int]:
    background = stuff[:1] if stuff[:1] == (_BACKGROUND,) else ()
    rest = things + stuff[len(background) :]
    return {**dict.fromkeys(background, 0), **{name: n for n, name in enumerate(rest, start=1)}}


def _numbers(kind: str, names: tuple[str, ...], given: Mapping[str, int]) -> tuple[int, ...]:
    """The numbers of the names, in order."""
    unknown = [name for name in given if name not in names]
    if unknown:
        raise ValueError(f"{kind} has {unknown[0]!r}, which is no class")
    missing = [name for name in names if name not in given]
    if missing:
        raise ValueError(f"{kind} lacks the class {missing[0]!r}")
    return tuple(given[name] for name in names)


def _check_unique(kind: str, values: Sequence[Any]) -> None:
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise ValueError(f"{kind} {twice[0]!r} occurs twice")


def _checked(content: Any) -> dict[str, Any]:
    """The content of a class file, of which only the types are checked."""
    if not isinstance(content, dict) or not {*_KEYS[:2]} <= content.keys() <= {*_KEYS}:
        raise ValueError(
            f"it must be an object of {_KEYS[0]} and {_KEYS[1]}, and perhaps of "
            f"{_KEYS[2]} and {_KEYS[3]}"
        )
    for key in _KEYS[:2]:
        names = content[key]
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
            raise ValueError(f"{key} must be a list of names")
    for key in _KEYS[2:]:
        numbers = content.get(key, {})
        if not isinstance(numbers, dict) or not all(type(n) is int for n in numbers.values()):
            raise ValueError(f"{key} must hold a whole number for each class")
    return content
