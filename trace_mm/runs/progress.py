"""One progress line for all that takes long."""

import sys
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

from trace_mm.console import is_quiet, no_bar
from trace_mm.runs.records import Record

_LOG_INTERVAL = 10.0  # seconds between lines where stderr is a file
_Thing = TypeVar("_Thing")


def progress_bar(
    total: int | None, done: int = 0, show: bool = True, label: str = "", unit: str = "image"
) -> "tqdm[None]":
    """A bar on stderr with images per second and the time left; use it as a context.

    Args:
        total: number of images; None if it is not known.
        done: how many of them were done before; they do not count for the rate.
        show: whether to draw it, unless the process is to be quiet.
        label: what is done, where that is not plain.
        unit: what is counted.
    """
    return tqdm(
        total=total,
        initial=done,
        desc=label or None,
        unit=unit,
        disable=no_bar(show),
        smoothing=0.05,
        dynamic_ncols=True,
        mininterval=0.1 if sys.stderr.isatty() else _LOG_INTERVAL,
    )


def watched(
    things: Iterable[_Thing],
    total: int | None = None,
    show: bool = True,
    label: str = "",
    unit: str = "image",
) -> Iterator[_Thing]:
    """Things as they come, with a bar of how many have been dealt with.

    Args:
        things: taken as they are needed.
        total: how many there are; if None, as many as ``things`` says.
        show: see :func:`progress_bar`, also for the others.
        label: likewise.
        unit: likewise.
    """
    if total is None and isinstance(things, Sized):
        total = len(things)
    with progress_bar(total, show=show, label=label, unit=unit) as bar:
        for thing in things:
            yield thing
            bar.update()


def tell(progress: "tqdm[None]", record: Record, unsaid: str = "", count: int = 1) -> None:
    """Say why an item failed, or what is to be known of it, and count it.

    Args:
        progress: the bar, above which it is said.
        record: of the item.
        unsaid: a note that goes without saying.
        count: how many items it stands for.
    """
    failed = [f"failed: {record.error}"] if record.error else []
    texts = [] if is_quiet() else record.notes + record.remarks
    for text in failed or [f"{record.key}: {text}" for text in texts if text != unsaid]:
        progress.write(text, file=sys.stderr)
    progress.update(count)
