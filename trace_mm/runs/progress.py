"""One progress line for all runs."""

import sys

from tqdm import tqdm

from trace_mm.console import is_quiet, no_bar
from trace_mm.runs.records import Record

_LOG_INTERVAL = 10.0  # seconds between lines where stderr is a file


def progress_bar(total: int, done: int = 0, show: bool = True) -> "tqdm[None]":
    """A bar on stderr with images per second and the time left; use it as a context.

    Args:
        total: number of images.
        done: how many of them were done before; they do not count for the rate.
        show: whether to draw it, unless the process is to be quiet.
    """
    return tqdm(
        total=total,
        initial=done,
        unit="image",
        disable=no_bar(show),
        smoothing=0.05,
        dynamic_ncols=True,
        mininterval=0.1 if sys.stderr.isatty() else _LOG_INTERVAL,
    )


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
