"""How benchmarks of semantic segmentation count: classes, and the ids of their files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trace_mm.files.id_maps import ID_COLORS, read_id_map
from trace_mm.files.members import AnyFile

_FILE = Path(__file__).with_name("semantic_protocols.json")
_VOID = 255
_IGNORED, _UNKNOWN = -1, -2


@dataclass(frozen=True)
class SemanticProtocol:
    """A benchmark, as MMSegmentation's data sets count it.

    Attributes:
        name: what users call it.
        classes: names by class number. "background" is the first of those that count it.
        suffixes: the id of each class in files of ground truth, by how their names end; of several
            kinds in a folder, the first that is there counts.
        ignored: ids of pixels that do not count. 255 is one, and 0 if no class has it, as with
            MMSegmentation's ``reduce_zero_label``.
        image_suffix: how stems of images end beyond those of the ground truth.
    """

    name: str
    classes: tuple[str, ...]
    suffixes: Mapping[str, tuple[int, ...]] = field(repr=False)
    ignored: frozenset[int] = frozenset()
    image_suffix: str = ""

    def suffix_in(self, folder: Path) -> str:
        """How names of ground truth end in a folder.

        Raises:
            FileNotFoundError: if there is no such folder.
            ValueError: if it holds none.
        """
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder of ground truth")
        for suffix in self.suffixes:
            if next(folder.rglob(f"*{suffix}"), None) is not None:
                return suffix
        raise ValueError(f"{folder}: there is no ground truth in it ({', '.join(self.suffixes)})")

    def read(self, path: AnyFile, size: tuple[int, int] | None = None) -> NDArray[np.int32]:
        """The class numbers of a file of ground truth.

        Args:
            path: ends like one of ``suffixes``.
            size: (H, W) that it must have.

        Returns:
            int32 (H, W), -1 where pixels do not count.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it cannot be read, has another size, or holds ids of no class; names it.
        """
        suffix = next((one for one in self.suffixes if path.name.endswith(one)), None)
        if suffix is None:
            raise ValueError(f"{path}: must end with {' or '.join(self.suffixes)}")
        ids = self.suffixes[suffix]
        table = np.full(_VOID + 1, _UNKNOWN, dtype=np.int32)
        table[[0, _VOID, *self.ignored]] = _IGNORED
        table[list(ids)] = np.arange(len(ids))
        return self._looked_up(path, size, table)

    def read_prediction(
        self, path: AnyFile, size: tuple[int, int] | None = None
    ) -> NDArray[np.int32]:
        """The class numbers of a predicted map, which holds these; -1 where it holds 255.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it cannot be read, has another size, or holds other numbers; names it.
        """
        table = np.full(_VOID + 1, _UNKNOWN, dtype=np.int32)
        table[_VOID] = _IGNORED
        table[: len(self.classes)] = np.arange(len(self.classes))
        return self._looked_up(path, size, table)

    def _looked_up(
        self, path: AnyFile, size: tuple[int, int] | None, table: NDArray[np.int32]
    ) -> NDArray[np.int32]:
        found = read_id_map(path, size)
        if found.stored == ID_COLORS:
            raise ValueError(f"{path}: must hold ids of classes, but holds colours")
        known = found.ids < len(table)
        numbers = np.where(known, table[np.where(known, found.ids, 0)], _UNKNOWN)  # (H, W)
        unknown = np.unique(found.ids[numbers == _UNKNOWN])
        if len(unknown):
            raise ValueError(
                f"{path}: ids {unknown[:5].tolist()} mean none of the {len(self.classes)} classes "
                f"of {self.name}"
            )
        return numbers.astype(np.int32)


def semantic_protocol(name: str) -> SemanticProtocol:
    """A benchmark by its name.

    Raises:
        ValueError: if there is none of this name.
    """
    if name not in _protocols():
        raise ValueError(f"protocol must be one of {', '.join(_protocols())}, got {name!r}")
    return _protocols()[name]


def protocol_of(classes: str | Sequence[str]) -> SemanticProtocol:
    """A benchmark by its name, or one whose ``.png`` files number these classes from 0.

    Raises:
        ValueError: if there is none of this name, or there are no or too many classes.
    """
    if isinstance(classes, str):
        return semantic_protocol(classes)
    if not 0 < len(classes) <= _VOID:
        raise ValueError(f"there must be 1 to {_VOID} classes, got {len(classes)}")
    return SemanticProtocol("this list", tuple(classes), {".png": tuple(range(len(classes)))})


@cache
def _protocols() -> dict[str, SemanticProtocol]:
    content = json.loads(_FILE.read_text(encoding="utf-8"))
    found = {}
    for name, entry in content.items():
        count = len(entry["classes"])
        suffixes = {
            suffix: tuple(range(ids, ids + count)) if isinstance(ids, int) else tuple(ids)
            for suffix, ids in entry["suffixes"].items()
        }
        found[name] = SemanticProtocol(
            name,
            tuple(entry["classes"]),
            suffixes,
            frozenset(entry.get("ignored", ())),
            entry.get("image_suffix", ""),
        )
    return found
