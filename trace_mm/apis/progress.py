"""One progress bar for all runs."""

import sys
from typing import Protocol

from tqdm import tqdm

from trace_mm.console import is_quiet, no_bar

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


class Told(Protocol):
    """What became of an image."""

    @property
    def name(self) -> str:
        """Of the image."""

    @property
    def error(self) -> str | None:
        """Why it failed."""

    @property
    def notes(self) -> list[str]:
        """What was left out, and why."""

    @property
    def remarks(self) -> list[str]:
        """What else is to be known."""


def tell(progress: "tqdm[None]", record: Told, unsaid: str = "", count: int = 1) -> None:
    """Say why an image failed, or what is to be known of it, and count it.

    Args:
        progress: the bar, above which it is said.
        record: of the image.
        unsaid: a note that goes without saying.
        count: how many images it stands for.
    """
    texts = [record.error] if record.error else [] if is_quiet() else record.notes + record.remarks
    for text in texts:
        if text != unsaid:
            progress.write(f"{record.name}: {text}", file=sys.stderr)
    progress.update(count)
