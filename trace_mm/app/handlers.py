"""What happens when something on the page is used: values of the page in, values of it out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import cv2
import gradio as gr
import numpy as np
from numpy.typing import NDArray

from trace_mm.app.attention import PhotoAttention
from trace_mm.app.found import Found, View
from trace_mm.app.photos import Limits, read_masks, read_photo
from trace_mm.app.session import AppModels, Reading
from trace_mm.visualization.overlay import draw_overlay, thumbnail
from trace_mm.visualization.score_curve import draw_score_curve

FORMATS = {"coco": "COCO", "labelme": "LabelMe", "png": "PNG"}
"""What can be downloaded, and its label."""

_MOST_PHOTOS = 50  # that are listed
_OUTPUTS = 6  # of a pass: state, line, image, edges, masks, the image to click
_ENLARGED = 240  # pixels of the longer side of a picture of attention


@dataclass(frozen=True)
class Opened:
    """What a browser looks at: a photo's file, and what was found in it."""

    path: Path
    found: Found


def told(work: Callable[..., Any]) -> Callable[..., Any]:
    """What is wrong with the input is shown on the page, in a line."""

    @wraps(work)
    def checked(*arguments: Any, **options: Any) -> Any:
        try:
            return work(*arguments, **options)
        except (ValueError, OSError, ImportError) as error:
            raise gr.Error(
                " ".join(str(error).split()), duration=None, print_exception=False
            ) from None

    return checked


class Handlers:
    """The handlers of a page; see ``build_page`` for the arguments."""

    def __init__(self, models: AppModels, limits: Limits, folder: Path) -> None:
        self._models, self._limits, self._folder = models, limits, folder

    @staticmethod
    def list_photos(files: list[str] | None) -> Any:
        """The choice among the uploaded photos, which is shown if there are several."""
        names = [Path(file).name for file in (files or [])[:_MOST_PHOTOS]]
        choices = [(name, index) for index, name in enumerate(names)]
        return gr.Dropdown(choices=choices, value=0 if names else None, visible=len(names) > 1)

    @told
    def read(self, files: list[str] | None, which: int | None, *choices: Any) -> Any:
        """One of the uploaded photos."""
        if not files:
            raise ValueError("drop a photo first")
        return self._read(Path(files[min(int(which or 0), len(files) - 1)]), choices)

    @told
    def read_webcam(self, file: str | None, *choices: Any) -> Any:
        """A picture of the webcam; nothing happens when it is taken away."""
        if file is None:
            return tuple(gr.skip() for _ in range(_OUTPUTS))
        return self._read(Path(file), choices)

    @told
    def read_again(self, opened: Opened | None, *choices: Any) -> Any:
        """The same photo by another reading."""
        if opened is None:
            return tuple(gr.skip() for _ in range(_OUTPUTS))
        return self._read(opened.path, choices)

    def _read(self, path: Path, choices: Any) -> Any:
        view, (model, backbone, size, timestep) = _view(choices[:3]), choices[3:]
        reading = Reading(model, backbone, int(size), int(timestep))
        found = self._models.read(read_photo(path, self._limits), reading)
        return self._opened(Opened(path, found), view)

    @staticmethod
    def _opened(opened: Opened, view: View) -> Any:
        found = opened.found
        return opened, _said(found, view), found.photo, *_drawn(found, view), found.photo

    @told
    def refine(self, opened: Opened | None, file: str | None, *sliders: Any) -> Any:
        """Masks that were uploaded, refined by the edges of the photo."""
        if opened is None:
            raise ValueError("drop the photo of these masks first")
        if file is None:
            return tuple(gr.skip() for _ in range(_OUTPUTS))
        found = opened.found
        masks = read_masks(Path(file), found.name, found.size, self._limits)
        photo = read_photo(opened.path, self._limits)
        refined = self._models.refine(photo, found, masks)
        return self._opened(Opened(opened.path, refined), _view(sliders))

    @told
    def view(self, opened: Opened | None, *sliders: Any) -> Any:
        """Edges and masks as the sliders have them; no pass."""
        if opened is None:
            return tuple(gr.skip() for _ in range(3))
        view = _view(sliders)
        return _said(opened.found, view), *_drawn(opened.found, view)

    def exporter(self, format: str) -> Callable[..., str]:
        """What makes a file of the masks that are shown."""

        @told
        def export(opened: Opened | None, *sliders: Any) -> str:
            if opened is None:
                raise ValueError("drop a photo first")
            folder = Path(mkdtemp(dir=self._folder))
            return str(opened.found.export(_view(sliders), format, folder))

        return export

    @told
    def attend(self, opened: Opened | None, backbone: str, event: gr.SelectData) -> Any:
        """Where a clicked pixel attends to at each timestep, and the curve of the search."""
        if opened is None:
            raise ValueError("drop a photo first")
        shown = opened.found.photo
        column, row = event.index
        attention = self._models.attention(read_photo(opened.path, self._limits), backbone)
        place = (column + 0.5) / shown.shape[1], (row + 0.5) / shown.shape[0]
        title = f"Score of each timestep, highest at t = {attention.chosen}"
        curve = draw_score_curve(attention.scores, attention.chosen, title)
        hint = f"Pixel {column}, {row}, in {backbone}. Pink: where it attends to."
        return hint, heat_pictures(shown, attention, place), curve


def heat_pictures(
    photo: NDArray[np.uint8], attention: PhotoAttention, place: tuple[float, float]
) -> list[tuple[NDArray[np.uint8], str]]:
    """Where a place of a photo attends to at each timestep: pictures with their captions."""
    small = thumbnail(photo, _ENLARGED)
    height, width = small.shape[:2]
    faded = small.astype(np.float32) / np.float32(255)
    pictures = []
    for index, step in enumerate(attention.timesteps):
        heat: Any = cv2.resize(attention.heat(index, place), (width, height))
        picture = draw_overlay(faded, heat, fade=0.8)
        spot = int(place[0] * width), int(place[1] * height)
        cv2.circle(picture, spot, 4, (255, 255, 255), 2, cv2.LINE_AA)
        pictures.append((picture, f"{'t*' if step == attention.chosen else 't'} = {step}"))
    return pictures


def _view(sliders: Any) -> View:
    score, number, threshold = sliders
    return View(float(score), int(number), float(threshold))


def _drawn(found: Found, view: View) -> tuple[Any, Any]:
    return found.edge_picture(view), found.mask_picture(view)


def _said(found: Found, view: View) -> str:
    """A line on what is shown."""
    height, width = found.size
    at = "" if found.timestep is None else f", edges at t = {found.timestep}"
    if found.curve:
        at = f", edges at t* = {found.timestep}"
    shown = f"{found.count(view)} of {len(found.scores)} masks"
    return f"{shown}, {width} × {height} pixels{at}"
