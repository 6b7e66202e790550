"""A page of photos with their masks, which a browser shows without a server or a network.

Masks are outlines, which the page's script draws, so that sliders choose among them at once.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

_SHOWN_AT_FIRST = 20  # masks a photo


@dataclass(frozen=True)
class GalleryEntry:
    """A photo and its masks.

    Attributes:
        name: what it is called.
        size: (h, w) of its thumbnail.
        picture: address of its thumbnail, ``data:`` or relative to the page.
        masks: score and outline of each, by falling score; see
            :func:`trace_mm.visualization.segments.outline_path`.
        original: address of the photo itself, which is shown enlarged if it is there; or empty.
    """

    name: str
    size: tuple[int, int]
    picture: str
    masks: Sequence[tuple[float, str]]
    original: str = ""


@dataclass(frozen=True)
class GalleryPage:
    """Which page of a gallery it is.

    Attributes:
        number: from 0 up.
        names: file names of all pages.
        photos: how many are on all pages together.
        version: of this package.
    """

    number: int
    names: Sequence[str]
    photos: int
    version: str


def render_gallery(entries: Sequence[GalleryEntry], page: GalleryPage) -> str:
    """Render a page.

    Args:
        entries: its photos.
        page: which it is.

    Returns:
        A complete HTML document. It loads nothing but pictures that entries name.
    """
    count = "1 photo" if page.photos == 1 else f"{page.photos} photos"
    most = max((len(entry.masks) for entry in entries), default=0)
    best = max((score for entry in entries for score, _ in entry.masks), default=0.0)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data: file: 'self';
 style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>Masks of {count}</title>
<style>{_asset("gallery.css")}</style>
</head>
<body>
<header>
<h1>Masks of {count}</h1>
{_render_pages(page, "Pages")}
<noscript><p>Masks are drawn by a script, which this browser does not run; the folder overlays
beside this page holds pictures of them.</p></noscript>
</header>
<div id="bar">{_render_controls(max(most, 1), best)}</div>
<main><ul id="photos">
{"".join(_render_card(number, entry) for number, entry in enumerate(entries))}</ul></main>
{_DIALOG}
<footer>{_render_pages(page, "Pages, again")}<p>trace_mm {escape(page.version)}</p></footer>
<script type="application/json" id="data">{_data(entries)}</script>
<script>{_asset("gallery.js")}</script>
</body>
</html>
"""


def jpeg_address(data: bytes) -> str:
    """A JPEG as a ``data:`` address."""
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}"


def _render_controls(most: int, best: float) -> str:
    top = min(most, _SHOWN_AT_FIRST)
    highest = max(0.01, -(-best * 100 // 1) / 100)  # a whole number of steps
    return f"""<form id="controls" aria-label="Which masks are shown">
<label>Masks a photo <output id="top-value">{top}</output>
<input id="top" type="range" min="1" max="{most}" value="{top}"></label>
<label>Least score <output id="score-value">0.000</output>
<input id="score" type="range" min="0" max="{highest:.2f}" step="0.005" value="0"></label>
<label>Draw <select id="style"><option value="fill">filled</option>
<option value="line">outlines</option><option value="none">nothing</option></select></label>
<p id="told" role="status"></p>
</form>"""


def _render_card(number: int, entry: GalleryEntry) -> str:
    name, count = escape(entry.name), len(entry.masks)
    masks = "1 mask" if count == 1 else f"{count} masks"
    height, width = entry.size
    return f"""<li><button class="card" type="button" data-photo="{number}" aria-haspopup="dialog">
<span class="picture"><img src="{escape(entry.picture)}" width="{width}" height="{height}"
 loading="lazy" alt="{name}"><canvas aria-hidden="true"></canvas></span>
<span class="name">{name}</span> <span class="count">{masks}</span></button></li>
"""


_DIALOG = """<dialog id="zoom" aria-labelledby="zoom-name">
<div class="top"><h2 id="zoom-name"></h2>
<div class="buttons">
<button type="button" id="previous" aria-label="Previous photo">←</button>
<button type="button" id="next" aria-label="Next photo">→</button>
<button type="button" id="smaller" aria-label="Zoom out">−</button>
<button type="button" id="larger" aria-label="Zoom in">+</button>
<button type="button" id="whole" aria-label="Whole photo">fit</button>
<button type="button" id="close" aria-label="Close">×</button>
</div></div>
<div id="stage" tabindex="0" role="img"><img id="photo" alt=""><canvas aria-hidden="true"></canvas>
</div>
<p id="mask" role="status"></p>
<div id="slot"></div>
<p class="keys"><kbd>←</kbd> <kbd>→</kbd> photos, <kbd>↑</kbd> <kbd>↓</kbd> masks,
<kbd>+</kbd> <kbd>−</kbd> <kbd>0</kbd> zoom, <kbd>Shift</kbd> and arrows move,
<kbd>m</kbd> how masks are drawn, <kbd>Esc</kbd> closes</p>
</dialog>"""


def _render_pages(page: GalleryPage, label: str) -> str:
    if len(page.names) == 1:
        return ""
    links = []
    for number, name in enumerate(page.names):
        here = ' aria-current="page"' if number == page.number else ""
        links.append(f'<li><a href="{escape(name)}"{here}>{number + 1}</a></li>')
    return f'<nav class="pages" aria-label="{label}"><ul>{"".join(links)}</ul></nav>'


def _data(entries: Sequence[GalleryEntry]) -> str:
    """What the script draws, as JSON that ends no element."""
    photos = [
        {
            "name": entry.name,
            "size": entry.size,
            "original": entry.original,
            "masks": [[round(score, 4), path] for score, path in entry.masks],
        }
        for entry in entries
    ]
    return json.dumps(photos, separators=(",", ":")).replace("<", "\\u003c")


def _asset(name: str) -> str:
    return files("trace_mm.visualization").joinpath(name).read_text(encoding="utf-8")
