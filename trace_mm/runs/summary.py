"""What a run did, in figures and in words: one closing and one set of exit statuses for all."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trace_mm.console import is_quiet
from trace_mm.runs.group import is_leader
from trace_mm.runs.packed import PackedStrings
from trace_mm.short_repr import ShortRepr

DONE, SOME_FAILED, UNUSABLE_INPUT, INTERRUPTED = 0, 1, 2, 130
"""Exit statuses of all commands."""

_LISTED = 100  # failures that are told in full


@dataclass(frozen=True, repr=False)
class RunSummary(ShortRepr):
    """What a run did.

    Attributes:
        done: keys of the items that were done now.
        skipped: keys of those that were finished before.
        failed: reason by key of those that could not be done.
        remarks: what else is to be known, and how to change it.
        told: those of the remarks that were said before, and need not be said again.
    """

    done: Sequence[str] = field(default_factory=PackedStrings)
    skipped: Sequence[str] = field(default_factory=PackedStrings)
    failed: Mapping[str, str] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    told: Sequence[str] = ()

    def describe(self, out: object) -> list[str]:
        """Lines for the person who has run it."""
        return [
            f"{len(self.done)} done, {len(self.skipped)} were done before, "
            f"{len(self.failed)} failed: {out}"
        ]

    def failures(self) -> list[str]:
        """Why items failed."""
        return list(self.failed.values())

    def report(self, out: object) -> int:
        """Print what a run did, in the process that leads.

        Returns:
            The exit status: ``SOME_FAILED`` if items failed. ``DONE`` in other processes than the
            leading: torchrun would stop that one, which may not have printed yet.
        """
        if not is_leader():
            return DONE
        new = [] if is_quiet() else [one for one in self.remarks if one not in self.told]
        for line in [*self.describe(out), *(f"note: {remark}" for remark in new)]:
            print(_printable(line))
        reasons = self.failures()
        for reason in reasons[:_LISTED]:
            print(f"  {_printable(reason)}", file=sys.stderr)
        if len(reasons) > _LISTED:
            print(f"  and {len(reasons) - _LISTED} more, in the journal", file=sys.stderr)
        return SOME_FAILED if reasons else DONE


def _printable(text: str) -> str:
    """Names of files may hold bytes that cannot be printed."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
