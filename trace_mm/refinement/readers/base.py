"""What all readers of masks have in common."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.files import SizeEvidence
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.refinement.readers.source import MaskSource

MAX_MASK_BYTES = 2**33
"""An image whose masks together would take more memory is refused; a pixel of a mask is a byte."""


CROWDS = ("auto", "keep", "skip")
"""What may become of crowd regions; see ``MaskReader``."""


class BadMaskError(ValueError):
    """A record of masks that cannot be used; the message names file, record and cause."""


OnBad = Callable[[BadMaskError], None]

IsImage = Callable[[str], bool]
"""Whether there is an image of some name, such as the stem of a file of masks."""


@contextmanager
def as_bad_masks() -> Iterator[None]:
    """Turns what reading a file raises into a ``BadMaskError`` of the same message."""
    try:
        yield
    except BadMaskError:
        raise
    except (ValueError, OSError) as error:
        raise BadMaskError(str(error)) from error


@dataclass(frozen=True)
class MaskRecord:
    """Where the masks of one image are.

    Attributes:
        image: file name of the image as the source writes it, perhaps with folders, or its stem;
            None if the source does not say.
        image_id: the image's id in the source, if it has one.
        content: what the reader needs to read the masks.
        bad: why this record cannot be read, naming file and record; None if nothing is known yet.
        empty: whether the source lists the image, but no mask of it.
    """

    image: str | None
    image_id: int | str | None
    content: Any
    bad: str | None = None
    empty: bool = False

    @property
    def name(self) -> str:
        """What messages call it. Quoted, so that any text of a file can be printed."""
        if self.image is not None:
            return f"image {self.image!r}"
        return "record" if self.image_id is None else f"image id {self.image_id!r}"


class MaskReader(ABC):
    """The masks of one method: which images have some, and the masks of each.

    It can be pickled, and copied, to read single records elsewhere; the copy lists none.

    ``notes`` say what was left out or taken for granted, as of files that could mean two things,
    and how to say otherwise; more may come as masks are read.

    Empty masks are left out, and so is background. Sizes come from the masks themselves and must
    be the image's; sizes that a file states are not looked at.

    Args:
        path: file or folder of the masks.
        allow_pickle: whether files that can only be read by unpickling are read. Unpickling may run
            code that is hidden in the file.
        crowds: what becomes of regions that a JSON file marks as crowds (``iscrowd``), which stand
            for several instances: "skip" leaves them out, "keep" takes each as a mask, and "auto"
            leaves them out unless the whole file is made of them, as some tools write it.

    Attributes:
        suffix: of the files in a folder that hold masks.
        categories: names by label, where the source has them.
        notes: what was decided for the user, such as what is left out, and how to change it.

    Raises:
        FileNotFoundError: if there is no such path.
        ValueError: if it is not of this format as a whole; names it and the cause.
    """

    suffix: str = ".png"

    def __init__(
        self,
        path: str | os.PathLike[str] | MaskSource,
        allow_pickle: bool = False,
        crowds: str = "auto",
    ) -> None:
        if crowds not in CROWDS:
            raise ValueError(f"crowds must be one of {', '.join(CROWDS)}, got {crowds!r}")
        source = path if isinstance(path, MaskSource) else MaskSource(path)
        self.path = source.path
        self.allow_pickle = allow_pickle
        self.crowds = crowds
        self.categories: dict[int, str] = {}
        self.notes: list[str] = []
        self._records = self._index(source)
        self.notes += source.others(self.suffix).describe(source.path, f"masks ({self.suffix})")

    def records(self, is_image: IsImage | None = None) -> list[MaskRecord]:
        """A record for each image that is listed or has masks, and for each that is bad.

        Args:
            is_image: decides where the names of files may mean more than one image.
        """
        return self._records

    def __getstate__(self) -> dict[str, Any]:
        """What reads a record, without all the others: it goes to other processes."""
        return {**self.__dict__, "_records": []}

    @property
    def folders(self) -> list[Path]:
        """Folders besides ``path`` that masks are read from."""
        return []

    def read(
        self, record: MaskRecord, size: tuple[int, int], on_bad: OnBad | None = None
    ) -> InstanceMasks:
        """The masks of a record.

        Args:
            record: one of this reader's.
            size: (H, W) of the image, from the image itself.
            on_bad: called for each bad mask, which is then left out; None means that a bad mask is
                an error.

        Raises:
            BadMaskError: if the record is bad as a whole, or one of its masks and there is no
                ``on_bad``.
        """
        if record.bad is not None:
            raise BadMaskError(record.bad)
        try:
            return self._read(record, size, on_bad)
        except BadMaskError:
            raise
        except (ValueError, OSError) as error:
            raise BadMaskError(f"{self.path}: {record.name}: {error}") from error

    def evidence(self, record: MaskRecord) -> SizeEvidence:
        """What the masks of a record tell of the size of their image; nothing if they are bad."""
        return SizeEvidence() if record.bad is not None else self._evidence(record)

    @classmethod
    @abstractmethod
    def recognizes(cls, source: MaskSource) -> bool:
        """Whether a file or folder looks like one of this format.

        Raises:
            ValueError: if it is a JSON file by name only.
        """

    @abstractmethod
    def _index(self, source: MaskSource) -> list[MaskRecord]:
        """All records, in fixed order; sets ``categories`` and ``notes``."""

    @abstractmethod
    def _read(
        self, record: MaskRecord, size: tuple[int, int], on_bad: OnBad | None
    ) -> InstanceMasks:
        """The masks of a record that is not known to be bad."""

    def _evidence(self, record: MaskRecord) -> SizeEvidence:
        """What the masks of such a record tell; nothing, unless a reader knows better."""
        return SizeEvidence()


class MaskStack:
    """Collects the masks of one image.

    Args:
        capacity: how many there may be.
        size: (H, W).

    Raises:
        ValueError: if so many would take more than ``MAX_MASK_BYTES``.
    """

    def __init__(self, capacity: int, size: tuple[int, int]) -> None:
        height, width = size
        if capacity * height * width > MAX_MASK_BYTES:
            raise ValueError(
                f"{capacity} masks of {size} (H, W) would take more than "
                f"{MAX_MASK_BYTES // 2**30} GiB of memory"
            )
        self._masks = np.zeros((capacity, height, width), dtype=bool)  # (K, H, W)
        self._labels: list[int] = []
        self._scores: list[float] = []

    def add(self, mask: NDArray[np.bool_], label: int = 1, score: float | None = None) -> None:
        """Add a mask (H, W), unless it is empty. Either all have scores or none has."""
        if not mask.any():
            return
        self._masks[len(self._labels)] = mask
        self._labels.append(label)
        if score is not None:
            self._scores.append(score)

    def instances(self, scored: bool = False) -> InstanceMasks:
        """What has been added; with scores if ``scored``."""
        return InstanceMasks(
            masks=self._masks[: len(self._labels)],
            labels=np.array(self._labels, dtype=np.int64),
            scores=np.array(self._scores, dtype=np.float64) if scored else None,
        )


def masks_of_ids(ids: NDArray[Any], values: Iterable[int], labels: Iterable[int]) -> InstanceMasks:
    """A mask for each of some ids of a map.

    Args:
        ids: (H, W), integers.
        values: the K ids whose masks are meant.
        labels: the K labels of the masks.

    Raises:
        ValueError: if the masks would take too much memory.
    """
    chosen = list(values)
    stack = MaskStack(len(chosen), (ids.shape[0], ids.shape[1]))
    for value, label in zip(chosen, labels, strict=True):
        stack.add(ids == value, label)
    return stack.instances()
