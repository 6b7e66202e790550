"""What a run of refinement did, in figures and in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from trace_mm.runs.records import Record
from trace_mm.runs.summary import RunSummary


@dataclass(frozen=True, repr=False)
class RefinementSummary(RunSummary):
    """What a run did.

    Attributes:
        images: how many images are refined, now or before.
        masks: how many masks were written.
        notes: masks and records that were left out, by the image's name or the record's number.
        empty: how many of the images have no mask in the result.
        others: how many images of the folder the masks do not mention.
    """

    images: int = 0
    masks: int = 0
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    empty: int = 0
    others: int = 0

    def describe(self, out: object) -> list[str]:
        """Lines for the person who has run it."""
        left_out = sum(map(len, self.notes.values()))
        parts = [
            f"{self.masks} masks of {self.images} images",
            f"{len(self.failed)} images failed",
            f"{left_out} bad masks or records left out",
        ]
        if self.empty:
            parts.append(f"{self.empty} images without masks")
        if self.others:
            parts.append(f"{self.others} images in the folder that the masks do not mention")
        return [f"{', '.join(parts)}: {out}"]


@dataclass
class Tally:
    """What the records of a refinement hold together.

    Attributes:
        images: how many images are refined.
        masks: how many masks they have.
        empty: how many of them have none.
        labels: those of the masks.
        unscored: whether no mask has another score than 1.
        notes: what was left out, by key.
        bad: the first of the notes on images, as masks that are left out are.
        unturned: keys of photos that are read as they are stored.
        told: what reading the masks has brought to light.
    """

    images: int = 0
    masks: int = 0
    empty: int = 0
    labels: set[int] = field(default_factory=set)
    unscored: bool = True
    notes: dict[str, list[str]] = field(default_factory=dict)
    bad: str | None = None
    unturned: list[str] = field(default_factory=list)
    told: dict[str, None] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Count a record."""
        if record.notes:
            self.notes[record.key] = record.notes
        if not is_refined(record):
            return
        masks = record.result["annotations"]
        self.images += 1
        self.masks += len(masks)
        self.empty += not masks
        self.labels.update(one["category_id"] for one in masks)
        self.unscored = self.unscored and all(one["score"] == 1 for one in masks)
        self.told.update(dict.fromkeys(record.result["told"]))
        if record.notes and self.bad is None:
            self.bad = record.notes[0]
        if record.remarks:
            self.unturned.append(record.key)

    def remarks(self, scores: str) -> list[str]:
        """What is to be told of all.

        Args:
            scores: where those of refined masks come from.
        """
        return [
            *self.told,
            *unturned(self.unturned),
            *(_UNSCORED if scores == "source" and self.masks and self.unscored else []),
            *mostly_left_out(self.notes, self.masks),
        ]


_UNSCORED = [
    "the masks have no scores of their own, so all have 1 (--scores outline: by the edges)"
]


def is_refined(record: Record) -> bool:
    """Whether a record is of an image that is done; others have failed, or are of no image."""
    return record.error is None and "annotations" in record.result


def unturned(names: Sequence[str]) -> list[str]:
    """What to tell of photos that were read as they are stored: one line, or none."""
    if not names:
        return []
    shown = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
    return [
        f"photos that EXIF data would turn, but whose masks only fit the stored pixels: "
        f"{len(names)}, not turned ({shown})"
    ]


def mostly_left_out(notes: Mapping[str, Iterable[str]], masks: int) -> list[str]:
    """What to tell if more was left out than written: one line, or none."""
    reasons = [reason for listed in notes.values() for reason in listed]
    if len(reasons) <= masks:
        return []
    return [
        f"more was left out ({len(reasons)} bad masks or records) than is written ({masks} masks); "
        f"the first: {reasons[0]}"
    ]
