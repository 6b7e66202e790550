"""One progress bar for all runs."""

import sys

from tqdm import tqdm

_LOG_INTERVAL = 10.0  # seconds between lines where stderr is a file


def progress_bar(total: int, done: int = 0, show: bool = True) -> "tqdm[None]":
    """A bar on stderr with images per second and the time left; use it as a context.

    Args:
        total: number of images.
        done: how many of them were done before; they do not count for the rate.
        show: whether to draw it.
    """
    return tqdm(
        total=total,
        initial=done,
        unit="image",
        disable=not show,
        smoothing=0.05,
        dynamic_ncols=True,
        mininterval=0.1 if sys.stderr.isatty() else _LOG_INTERVAL,
    )
