"""What happens when something on the page is used: values of the page in, values of it out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from html import escape
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

START = "Drop a photo to begin."

_FAULTS = (ValueError, OSError, ImportError)
_ENLARGED = 240  # pixels of the longer side of a picture of attention

Photos = dict[int, Path]
"""The uploaded photos by a number that no other has had."""


@dataclass(frozen=True)
class Opened:
    """What a browser looks at: a photo's file, and what was found in it, or why nothing was."""

    path: Path
    found: Found | None = None
    fault: str = ""

    @classmethod
    def checked(cls, opened: "Opened | None") -> tuple[Path, Found]:
        """The file and what was found in it.

        Raises:
            ValueError: if nothing was.
        """
        if opened is None or opened.found is None:
            raise ValueError("drop a photo first" if opened is None else opened.fault)
        return opened.path, opened.found


def told(work: Callable[..., Any]) -> Callable[..., Any]:
    """What is wrong with the input is shown on the page, in a line."""

    @wraps(work)
    def checked(*arguments: Any, **options: Any) -> Any:
        try:
            return work(*arguments, **options)
        except _FAULTS as error:
            raise gr.Error(_line(error), duration=None, print_exception=False) from None

    return checked


class Handlers:
    """The handlers of a page; see ``build_page`` for the arguments."""

    def __init__(self, models: AppModels, limits: Limits, folder: Path) -> None:
        self._models, self._limits, self._folder = models, limits, folder

    @staticmethod
    def list_photos(
        photos: Photos, shown: int | None, files: list[str] | None, webcam: str | None
    ) -> tuple[Photos, Any]:
        """The photos that are uploaded by now, and the choice among them: the first new one."""
        paths = dict.fromkeys(map(Path, [*(files or []), *([webcam] if webcam else [])]))
        numbers, free = {path: number for number, path in photos.items()}, max(photos, default=0)
        listed = {numbers[path] if path in numbers else (free := free + 1): path for path in paths}
        new = [number for number in listed if number not in photos]
        choices = [(path.name, number) for number, path in listed.items()]
        chosen = new[0] if new else shown if shown in listed else next(iter(listed), None)
        return listed, gr.Dropdown(choices=choices, value=chosen, visible=len(listed) > 1)

    def read(self, photos: Photos, which: int | None, *reading: Any) -> Any:
        """One of the uploaded photos."""
        if which not in photos:
            return None, None, None
        path, (model, backbone, size, timestep) = photos[which], reading
        try:
            chosen = Reading(model, backbone, int(size), int(timestep))
            found = self._models.read(read_photo(path, self._limits), chosen)
        except _FAULTS as error:  # no other photo's pictures stay; nor would a gr.Error be enough:
            gr.Warning(_line(error), title="Error")  # after one, Gradio drops a choice that waits
            return Opened(path, fault=_line(error)), None, None
        return Opened(path, found), found.photo, found.photo

    @told
    def refine(self, opened: Opened | None, file: str | None) -> Any:
        """Masks that were uploaded, refined by the edges of the photo."""
        if file is None:
            return gr.skip()
        path, found = Opened.checked(opened)
        masks = read_masks(Path(file), found.name, found.size, self._limits)
        return Opened(path, self._models.refine(read_photo(path, self._limits), found, masks))

    @told
    def view(self, opened: Opened | None, *sliders: Any) -> Any:
        """The line, edges and masks as the sliders have them; no pass."""
        if opened is None or opened.found is None:
            return _said(START if opened is None else opened.fault, opened is not None), None, None
        found, view = opened.found, _view(sliders)
        pictures = found.edge_picture(view), found.mask_picture(view)
        return _said(_described(found, view)), *pictures

    def exporter(self, format: str) -> Callable[..., str]:
        """What makes a file of the masks that are shown."""

        @told
        def export(opened: Opened | None, *sliders: Any) -> str:
            _, found = Opened.checked(opened)
            folder = Path(mkdtemp(dir=self._folder))
            return str(found.export(_view(sliders), format, folder))

        return export

    @told
    def attend(self, opened: Opened | None, backbone: str, event: gr.SelectData) -> Any:
        """Where a clicked pixel attends to at each timestep, and the curve of the search."""
        path, found = Opened.checked(opened)
        column, row = event.index
        attention = self._models.attention(read_photo(path, self._limits), backbone)
        place = (column + 0.5) / found.shown[1], (row + 0.5) / found.shown[0]
        title = f"Score of each timestep, highest at t = {attention.chosen}"
        curve = draw_score_curve(attention.scores, attention.chosen, title)
        hint = f"Pixel {column}, {row}, in {backbone}. Pink: where it attends to."
        return hint, heat_pictures(found.photo, attention, place), curve


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


def _described(found: Found, view: View) -> str:
    """A line on what is shown."""
    height, width = found.size
    at = "" if found.timestep is None else f", edges at t = {found.timestep}"
    if found.curve:
        at = f", edges at t* = {found.timestep}"
    shown, count = found.counts(view)
    return f"{shown} of {count} masks, {width} × {height} pixels{at}"


def _said(text: str, fault: bool = False) -> str:
    return f'<p class="{"fault" if fault else ""}">{escape(text)}</p>'


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
