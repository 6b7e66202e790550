"""The page: what is on it, and what happens when something is moved or clicked."""

from pathlib import Path
from typing import Any

import gradio as gr

from trace_mm.app.handlers import FORMATS, START, Handlers
from trace_mm.app.photos import Limits
from trace_mm.app.session import MOST, TEACHER, AppModels

TITLE = "trace_mm: edges and masks of your photos"
_HINT = "Click a pixel to see what it attends to."
_LARGEST, _LATEST = 1024, 999  # of the sliders of size and timestep
_CLEAN_EVERY, _KEEP_FOR = 600, 3600  # seconds: of uploads and pictures in the folder

_CSS = """
footer { display: none !important; }
#said p { margin: 0; font-size: 15px; }
#said .fault { color: #d6135f; font-weight: 600; }
.gradio-container { max-width: 1500px !important; }
.curve text { font: 12px system-ui, sans-serif; fill: var(--muted); }
.curve .mark { font-size: 13px; font-weight: 600; fill: var(--accent); }
.score-curve {
  --ink: var(--body-text-color); --muted: var(--body-text-color-subdued);
  --line: var(--border-color-primary); --accent: #d6135f;
}
.score-curve svg { max-width: 560px; width: 100%; }
#photos td { padding: 4px 5px; }
#photos td.filename { flex: 1; min-width: 0; max-width: none; }
#photos td.download { display: none; }
#which input { text-overflow: ellipsis; padding-right: 24px; }
#attention .grid-wrap { padding-top: 36px; min-height: 0; max-height: none; height: auto; }
#attention .grid-container { grid-template-rows: none; }
@media (max-width: 700px) {
  #attention .grid-container { grid-template-columns: repeat(2, minmax(0, 1fr)); }
}
"""
_CLICK = "() => setTimeout(() => document.querySelector('#{0} a, a#{0}, #{0}').click(), 300)"


def style() -> dict[str, Any]:
    """What the page looks like, as arguments of ``launch``; fonts are the system's own."""
    fonts = ["system-ui", "sans-serif"]
    theme = gr.themes.Default(
        primary_hue="pink", font=fonts, font_mono=["ui-monospace", "monospace"]
    )
    return {"theme": theme, "css": _CSS}


def build_page(models: AppModels, limits: Limits, folder: Path) -> gr.Blocks:
    """The page.

    Args:
        models: what computes.
        limits: of uploads.
        folder: where files to download are made.
    """
    handlers = Handlers(models, limits, folder)
    with gr.Blocks(title=TITLE, delete_cache=(_CLEAN_EVERY, _KEEP_FOR)) as page:
        gr.Markdown(
            "## Edges and masks of your photos\nPhotos stay on the machine that serves this page."
        )
        state, photos = gr.State(), gr.State({})
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                given = _inputs(limits)
                readings = _reading_choices(models)
            with gr.Column(scale=3, min_width=280):
                said = gr.HTML(f"<p>{START}</p>", elem_id="said")
                with gr.Tab("Masks"):
                    pictures = _pictures()
                    views = _view_sliders()
                    _downloads(handlers, state, views)
                with gr.Tab("Attention"):
                    attention = _attention()
        _connect_photos(handlers, photos, given)
        images = [pictures[0], attention["image"]]
        _connect_passes(handlers, state, photos, given, readings, images, pictures)
        _connect_views(handlers, state, views, [said, *pictures[1:]])
        _connect_attention(handlers, state, readings, attention)
    return page


def _inputs(limits: Limits) -> dict[str, Any]:
    """Where photos and masks come in."""
    files = gr.File(
        label=f"Photos, to {limits.pixels / 1e6:g} million pixels",
        file_count="multiple",
        file_types=["image"],
        height=150,
        elem_id="photos",
    )
    which = gr.Dropdown(label="Photo", choices=[], visible=False, elem_id="which")
    with gr.Accordion("Webcam", open=False):
        webcam = gr.Image(
            sources=["webcam"], type="filepath", format="png", label="Webcam", elem_id="webcam"
        )
    with gr.Accordion("Refine masks of your own", open=False):
        masks = gr.File(
            label="COCO .json, or .png of numbers",
            file_types=[".json", ".png"],
            height=140,
            elem_id="own-masks",
        )
    return {"files": files, "which": which, "webcam": webcam, "masks": masks}


def _view_sliders() -> list[Any]:
    """Sliders that need no pass: score, number, threshold."""
    with gr.Row():
        return [
            gr.Slider(0, 1, 0, step=0.01, label="Least score", elem_id="score", min_width=200),
            gr.Slider(0, MOST, 20, step=1, label="Most masks", elem_id="number", min_width=200),
            gr.Slider(
                0, 1, 0, step=0.01, label="Ignore edges below", elem_id="threshold", min_width=200
            ),
        ]


def _reading_choices(models: AppModels) -> list[Any]:
    """What needs another pass: model, backbone, size, timestep."""
    with gr.Accordion("Model", open=False, elem_id="model"):
        return [
            gr.Dropdown([*models.students, TEACHER], value=models.students[0], label="Model"),
            gr.Dropdown(
                models.backbones,
                value=models.backbones[0],
                label="Backbone of teacher and attention",
            ),
            gr.Slider(0, _LARGEST, 0, step=32, label="Size (0: the model's own)", elem_id="size"),
            gr.Slider(
                0,
                _LATEST,
                0,
                step=1,
                label="Timestep (0: the model's own, or the search for t*)",
                elem_id="timestep",
            ),
        ]


def _picture(label: str, place: str) -> gr.Image:
    return gr.Image(
        label=label,
        format="png" if place == "edges" else "jpeg",  # which is quicker to make
        interactive=False,
        buttons=["fullscreen"],
        min_width=240,
        elem_id=place,
    )


def _pictures() -> list[Any]:
    """Image, edges, masks, side by side."""
    with gr.Row():
        return [_picture(label, label.lower()) for label in ("Image", "Edges", "Masks")]


def _downloads(handlers: Handlers, state: gr.State, views: list[Any]) -> None:
    """A button a format: it makes the file, then follows a hidden link to it."""
    with gr.Row():
        for format, label in FORMATS.items():
            button = gr.Button(f"Download {label}", size="sm", min_width=120)
            link = gr.DownloadButton(visible="hidden", elem_id=f"link-{format}")
            button.click(
                handlers.exporter(format), [state, *views], link, api_name=f"download_{format}"
            ).success(None, js=_CLICK.format(f"link-{format}"))


def _attention() -> dict[str, Any]:
    """An image to click, its attention by timestep, and the curve of the search."""
    hint = gr.Markdown(_HINT, elem_id="hint")
    with gr.Row():
        with gr.Column(min_width=240):
            image = _picture("Image", "pixel")
        with gr.Column(min_width=280):
            curve = gr.HTML(elem_classes="score-curve", elem_id="curve")
    maps = gr.Gallery(
        label="Where the pixel attends to, by timestep",
        columns=5,
        height="auto",
        object_fit="contain",
        format="jpeg",
        interactive=False,
        buttons=[],
        elem_id="attention",
    )
    return {"hint": hint, "image": image, "maps": maps, "curve": curve}


def _connect_photos(handlers: Handlers, photos: gr.State, given: dict[str, Any]) -> None:
    """What is uploaded or taken by the webcam can be chosen, and the first new photo is."""
    gr.on(
        [given["files"].change, given["webcam"].change],
        handlers.list_photos,
        [photos, given["which"], given["files"], given["webcam"]],
        [photos, given["which"]],
        api_name="photos",
        queue=False,
        trigger_mode="always_last",
        show_progress="hidden",
    )


def _connect_passes(
    handlers: Handlers,
    state: gr.State,
    photos: gr.State,
    given: dict[str, Any],
    readings: list[Any],
    images: list[Any],
    pictures: list[Any],
) -> None:
    """A photo or a reading that is chosen leads to a pass.

    One listener hears all of them. While a pass runs, it lets one more wait, which then takes what
    is chosen by then: so what is shown at last is what was chosen last.
    """
    common: dict[str, Any] = {"concurrency_id": "model", "show_progress_on": pictures}
    choices = [
        choice.release if isinstance(choice, gr.Slider) else choice.input for choice in readings
    ]
    gr.on(
        [given["which"].change, *choices],
        handlers.read,
        [photos, given["which"], *readings],
        [state, *images],
        api_name="read",
        trigger_mode="always_last",
        **common,
    )
    given["masks"].upload(
        handlers.refine, [state, given["masks"]], state, api_name="refine", **common
    )


def _connect_views(handlers: Handlers, state: gr.State, views: list[Any], drawn: list[Any]) -> None:
    """Sliders, and a pass that is done, change what is drawn.

    Again one listener, so that a drawing of an earlier photo cannot come after that of a later one.
    """
    gr.on(
        [state.change, *(slider.input for slider in views)],
        handlers.view,
        [state, *views],
        drawn,
        api_name="view",
        trigger_mode="always_last",
        show_progress="hidden",
        concurrency_id="view",
        concurrency_limit=4,
    )


def _connect_attention(
    handlers: Handlers, state: gr.State, readings: list[Any], attention: dict[str, Any]
) -> None:
    attention["image"].select(
        handlers.attend,
        [state, readings[1]],
        [attention["hint"], attention["maps"], attention["curve"]],
        api_name=False,
        trigger_mode="multiple",  # others lose a click, or where it was
        concurrency_id="model",
    )
    attention["image"].change(  # what was shown is of another photo
        lambda: (_HINT, None, ""),
        None,
        [attention["hint"], attention["maps"], attention["curve"]],
        api_name=False,
        queue=False,
        show_progress="hidden",
    )
