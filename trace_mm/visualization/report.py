"""A self-contained HTML page of images and what was read out of them."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from trace_mm.visualization.overlay import thumbnail
from trace_mm.visualization.report_style import STYLE

_RATIO_RANGE = (0.7, 1.9)  # of a picture's frame; longer pictures leave part of it empty
_JPEG_QUALITY = 86


@dataclass(frozen=True)
class Figure:
    """A picture with words.

    Attributes:
        pixels: uint8 (H, W) grey or (H, W, 3) RGB; shown at no more than 640 pixels a side.
        caption: what stands below it.
        alt: what a screen reader says instead of it.
        photo: stored as JPEG; else as PNG, which keeps sharp lines.
        chosen: drawn with a border, as the one that matters.
    """

    pixels: NDArray[np.uint8]
    caption: str
    alt: str
    photo: bool = False
    chosen: bool = False


@dataclass(frozen=True)
class ReportEntry:
    """What the report shows of one image.

    Attributes:
        title: the image's name.
        facts: what else stands beside the name, plain text.
        figures: image, edges, overlay and the like.
        curve: the score curve as markup, see :func:`draw_score_curve`; empty for none.
        attention: the attention at several timesteps, see :func:`attention_pca_colors`.
        reader: whose attention and curve these are, if not those of whose edges are shown.
    """

    title: str
    facts: Sequence[str]
    figures: Sequence[Figure]
    curve: str = ""
    attention: Sequence[Figure] = field(default=())
    reader: str = ""


def render_report(
    heading: str,
    lead: str,
    steps: Sequence[tuple[str, str]],
    notes: Sequence[tuple[str, str]],
    entries: Sequence[ReportEntry],
    footer: str = "",
    legend: Sequence[tuple[tuple[int, int, int], str]] = (),
    commands: Sequence[tuple[str, str]] = (),
) -> str:
    """Render the page. It loads nothing: pictures are inlined, and a policy forbids requests.

    A picture fills the window when it is clicked on, and goes back at another click or Escape. That
    takes no script: each is a popover, which browsers without popovers show at its place only.

    Args:
        heading: the page's title.
        lead: a few sentences below it, plain text.
        steps: title and plain text of how it works, step by step.
        notes: title and plain text of what else a reader must know.
        entries: the images, in order.
        footer: a closing line, plain text.
        legend: colours, RGB from 0 to 255, and what they mean, plain text; empty for none.
        commands: what to do next, and the command for it, plain text; empty for none.

    Returns:
        A complete HTML document.
    """
    articles = "\n".join(_render_entry(entry, number) for number, entry in enumerate(entries))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{escape(heading)}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{escape(heading)}</h1>
<p class="lead">{escape(lead)}</p>
<div class="cards">{_render_cards(steps)}</div>
<div class="cards plain">{_render_cards(notes)}</div>
{_render_legend(legend)}
</header>
<main>
{articles}
{_render_commands(commands)}
</main>
<footer><p>{escape(footer)}</p></footer>
</body>
</html>
"""


def _render_cards(texts: Sequence[tuple[str, str]]) -> str:
    return "\n".join(
        f"<section><h2>{escape(title)}</h2><p>{escape(text)}</p></section>" for title, text in texts
    )


def _render_legend(legend: Sequence[tuple[tuple[int, int, int], str]]) -> str:
    if not legend:
        return ""
    entries = "\n".join(
        f'<li><span aria-hidden="true" style="background: rgb({red}, {green}, {blue})"></span>'
        f"{escape(text)}</li>"
        for (red, green, blue), text in legend
    )
    return f'<ul class="legend">\n{entries}\n</ul>'


def _render_commands(commands: Sequence[tuple[str, str]]) -> str:
    if not commands:
        return ""
    entries = "\n".join(
        f"<dt>{escape(text)}</dt><dd><code>{escape(command)}</code></dd>"
        for text, command in commands
    )
    return f'<section class="next"><h2>What next</h2><dl>\n{entries}\n</dl></section>'


def _render_entry(entry: ReportEntry, number: int) -> str:
    height, width = entry.figures[0].pixels.shape[:2]
    ratio = min(max(width / height, _RATIO_RANGE[0]), _RATIO_RANGE[1])
    facts = "".join(f"<span>{escape(fact)}</span>" for fact in entry.facts)
    figures = _render_figures(entry.figures, f"picture-{number}")
    return f"""<article style="--ratio: {ratio:.3f}; --count: {len(entry.figures)}">
<div class="name"><h2>{escape(entry.title)}</h2>{facts}</div>
<div class="pictures">
{figures}
</div>
{_render_inside(entry, number)}
</article>"""


def _render_inside(entry: ReportEntry, number: int) -> str:
    """The score curve and the attention, if there are any."""
    reader = f" ({escape(entry.reader)})" if entry.reader else ""
    parts = []
    if entry.curve:
        parts.append(f"<div><h3>How much attention changes{reader}</h3>{entry.curve}</div>")
    if entry.attention:
        maps = _render_figures(entry.attention, f"map-{number}")
        title = f"What each patch attends to{reader}"
        parts.append(f'<div><h3>{title}</h3><div class="maps">{maps}</div></div>')
    if not parts:
        return ""
    fixed = "" if entry.curve.startswith("<svg") else " fixed"
    return f'<div class="inside{fixed}">\n' + "\n".join(parts) + "\n</div>"


def _render_figures(figures: Sequence[Figure], name: str) -> str:
    """Figures, of which each fills the window when its picture is clicked on."""
    return "\n".join(
        _render_figure(figure, f"{name}-{number}") for number, figure in enumerate(figures)
    )


def _render_figure(figure: Figure, name: str) -> str:
    mark = " chosen" if figure.chosen else ""
    return (
        f'<figure id="{name}" class="picture{mark}" popover>'
        f'<button type="button" popovertarget="{name}">'
        f'<img class="frame" src="{data_uri(figure.pixels, figure.photo)}" '
        f'alt="{escape(figure.alt)}"></button>'
        f"<figcaption>{escape(figure.caption)}</figcaption></figure>"
    )


def data_uri(pixels: NDArray[np.uint8], photo: bool = False) -> str:
    """Pixels as a ``data:`` address, shrunk to at most 640 pixels a side.

    Args:
        pixels: uint8 (H, W) grey or (H, W, 3) RGB.
        photo: JPEG instead of PNG.
    """
    small = thumbnail(pixels)
    if small.ndim == 3:
        small = np.ascontiguousarray(small[:, :, ::-1])  # OpenCV writes BGR
    suffix, options = (".jpg", [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]) if photo else (".png", [])
    done, data = cv2.imencode(suffix, small, options)
    if not done:
        raise ValueError(f"cannot encode pixels of shape {pixels.shape}")
    kind = "jpeg" if photo else "png"
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"
