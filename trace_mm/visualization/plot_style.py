"""How figures for papers look, and how they are written. Imports matplotlib, which is slow."""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from trace_mm.files import check_outputs, write_atomically

# Okabe and Ito's colours, which people with any colour vision can tell apart; the palest last.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9", "#8C6D31")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
ACCENT = "#D55E00"
MUTED = "#6b6b6b"
FORMATS = (".png", ".svg", ".pdf")
_STYLE: Any = {  # matplotlib's type would name each setting
    "axes.axisbelow": True,
    "axes.edgecolor": "#4d4d4d",
    "axes.grid": True,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.7,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "savefig.dpi": 200,
    "svg.hashsalt": "trace_mm",  # else the same figure is another file each time
}


@contextmanager
def paper_style() -> Iterator[None]:
    """Figures that are made in this context look alike; matplotlib's settings stay as they are."""
    with matplotlib.rc_context(_STYLE):
        yield


def look_of(number: int) -> dict[str, Any]:
    """Colour and marker of the curve with this number."""
    return {"color": COLORS[number % len(COLORS)], "marker": MARKERS[number % len(MARKERS)]}


def check_figure(
    path: str | Path,
    read: Iterable[str | Path | None] = (),
    searched: Iterable[str | Path | None] = (),
) -> Path:
    """The path of a figure, if it can be written, in one of the formats, onto nothing that is read.

    Args:
        path: of the figure.
        read: what it is made of, see :func:`trace_mm.files.check_outputs`.
        searched: folders of which all files are read, likewise.

    Raises:
        ValueError: if its suffix is another, or it would be written onto or among what is read.
        OSError: if it cannot be written.
    """
    file = Path(path)
    if file.suffix.lower() not in FORMATS:
        raise ValueError(f"{path}: a figure ends in {', '.join(FORMATS)}")
    check_outputs(files=[file], read=read, searched=searched)
    return file


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure to a PNG, SVG or PDF file; missing folders are made.

    Raises:
        ValueError: if the suffix is another.
    """
    file = check_figure(path)
    buffer, kind = io.BytesIO(), file.suffix.lower()[1:]
    dates = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with paper_style():
        figure.savefig(buffer, format=kind, bbox_inches="tight", metadata=dates[kind])
    write_atomically(file, buffer.getvalue())
    return file
