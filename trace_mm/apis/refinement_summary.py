"""What a run of refinement did, in figures and in words."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trace_mm.console import is_quiet
from trace_mm.short_repr import ShortRepr


@dataclass(frozen=True, repr=False)
class RefinementSummary(ShortRepr):
    """What a run did.

    Attributes:
        done: how many images are refined, now or before.
        masks: how many masks were written.
        failed: why images could not be refined, by name.
        notes: masks that were left out, by the image's name.
        empty: how many of the images that are done have no mask in the result.
        others: how many images of the folder the masks do not mention.
        remarks: what else was left out or decided, and how to change it.
        told: those of the remarks that the run said as it began, before any work.
    """

    done: int
    masks: int
    failed: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    empty: int = 0
    others: int = 0
    remarks: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def describe(self, out: str | os.PathLike[str]) -> str:
        """A line for the person who ran it; unless it is quiet, one for each remark that is new."""
        left_out = sum(map(len, self.notes.values()))
        parts = [
            f"{self.masks} masks of {self.done} images",
            f"{len(self.failed)} images failed",
            f"{left_out} bad masks or records left out",
        ]
        if self.empty:
            parts.append(f"{self.empty} images without masks")
        if self.others:
            parts.append(f"{self.others} images in the folder that the masks do not mention")
        line = f"{', '.join(parts)}: {os.fspath(out)}"
        new = [remark for remark in self.remarks if remark not in self.told]
        return "\n".join([line, *(f"note: {remark}" for remark in ([] if is_quiet() else new))])


def unturned(names: Sequence[str]) -> list[str]:
    """What to tell of photos that were read as they are stored: one line, or none."""
    if not names:
        return []
    shown = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
    return [
        f"photos that EXIF data would turn, but whose masks only fit the stored pixels: "
        f"{len(names)}, not turned ({shown})"
    ]


def unscored(annotations: Iterable[Mapping[str, Any]], scores: str) -> list[str]:
    """What to tell of masks whose source has no scores: one line, or none."""
    found = {annotation["score"] for annotation in annotations}
    if scores != "source" or found != {1.0}:
        return []
    return ["the masks have no scores of their own, so all have 1 (--scores outline: by the edges)"]


def mostly_left_out(notes: Mapping[str, Sequence[str]], masks: int) -> list[str]:
    """What to tell if more was left out than written: one line, or none."""
    reasons = [reason for listed in notes.values() for reason in listed]
    if len(reasons) <= masks:
        return []
    return [
        f"more was left out ({len(reasons)} bad masks or records) than is written ({masks} masks); "
        f"the first: {reasons[0]}"
    ]
