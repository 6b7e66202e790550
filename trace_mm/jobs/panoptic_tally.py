"""What a panoptic dataset holds, counted in one pass over the records of its images."""

from array import array
from collections import Counter
from collections.abc import Collection
from typing import Any

from trace_mm.panoptic import PanopticClasses
from trace_mm.runs.journal import Journal
from trace_mm.runs.records import Record

NOT_LABELLED = 0
_LISTED = 20  # failures and notes that are told in full


class Tally:
    """Counts of a dataset, at 8 bytes an image.

    Args:
        journal: of the run; complete.
        shown: names of images whose records are kept.

    Attributes:
        heights: of each image by its number in the journal; 0 without labels.
        widths: likewise.
        labelled: how many images have labels.
        failed: how many could not be labelled.
        segments: how many segments there are, by category id.
        void: how many pixels of the labelled images belong to no segment.
        empty: how many of these images are void as a whole.
        failures: why the first images failed.
        notes: what is to be known of labelled images, by name.
        shown: the records of the labelled images of ``shown``.
    """

    def __init__(self, journal: Journal, shown: Collection[str] = ()) -> None:
        self.heights, self.widths = array("I"), array("I")
        self.segments: Counter[int] = Counter()
        self.labelled = self.failed = self.void = self.empty = 0
        self.failures: list[str] = []
        self.notes: dict[str, list[str]] = {}
        self.shown: list[Record] = []
        for record in journal.records():
            self._add(record, record.key in shown)

    @property
    def images(self) -> int:
        """How many images there are."""
        return len(self.heights)

    @property
    def pixels(self) -> int:
        """How many pixels the labelled images have."""
        return sum(map(int.__mul__, self.heights, self.widths))

    def of_classes(self, classes: PanopticClasses) -> dict[str, int]:
        """How many segments each class has, by name, most first; none of what is absent."""
        names = dict(zip(classes.category_ids, classes.names, strict=True))
        return {names[number]: count for number, count in self.segments.most_common()}

    def _add(self, record: Record, shown: bool) -> None:
        labelled = is_labelled(record)
        self.heights.append(record.result["height"] if labelled else NOT_LABELLED)
        self.widths.append(record.result["width"] if labelled else NOT_LABELLED)
        if record.error is not None:
            self.failed += 1
            self.failures += [record.error][: _LISTED - len(self.failures)]
        if not labelled:
            return
        self.labelled += 1
        self.segments.update(entry["category_id"] for entry in annotations_of(record))
        self.void += void_of(record)
        self.empty += not annotations_of(record)
        if record.notes:
            self.notes[record.key] = record.notes
        if shown:
            self.shown.append(record)


def is_labelled(record: Record) -> bool:
    """Whether there are labels of an image: it has a map and has not failed."""
    return "annotations" in record.result


def annotations_of(record: Record) -> list[dict[str, Any]]:
    """Of an image's segments by rising id; things have a ``segmentation``."""
    found: list[dict[str, Any]] = record.result["annotations"]
    return found


def void_of(record: Record) -> int:
    """How many of a labelled image's pixels belong to no segment."""
    covered: int = sum(entry["area"] for entry in annotations_of(record))
    return int(record.result["height"]) * int(record.result["width"]) - covered
