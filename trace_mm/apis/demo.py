"""The demo: edges of a few images, and a report that shows where they come from."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from trace_mm import __version__
from trace_mm.apis.inferencer import TraceInferencer
from trace_mm.apis.inputs import ImageSource
from trace_mm.apis.progress import progress_bar
from trace_mm.apis.results import edges_of, edges_to_8_bit, encode_png, scores_of
from trace_mm.datasets import instance_borders, render_scene
from trace_mm.diffusion import shipped_models
from trace_mm.files import load_image, write_atomically
from trace_mm.structures import EdgeDataSample
from trace_mm.visualization import (
    Figure,
    ReportEntry,
    attention_pca_colors,
    draw_overlay,
    draw_score_curve,
    render_report,
)

DEMO_SEED = 11  # no training or test set uses this series of scenes
DEMO_SCENES = 6
DEMO_SIZE = (256, 256)
ATTENTION_MAPS = 6
ATTENTION_SIZE = 240  # pixels of the longer side

REPORT_FILE = "report.html"
_LEAD = (
    "TRACE looks for the lines where one object ends and the next begins, also between two of a "
    "kind. It was never taught an outline: it watches what a diffusion model attends to while it "
    "looks at a picture through noise."
)
_STEPS = (
    (
        "1. Look through noise",
        "Noise is added to the image at growing timesteps t. Each time, the model says for every "
        "patch which other patches it attends to.",
    ),
    (
        "2. Find the moment",
        "At t*, marked in the curve, attention differs most from the timestep before. That is "
        "where instances emerge.",
    ),
    (
        "3. Draw the borders",
        "Patches of one object attend to the same places. Where the patches on two sides of a "
        "point do not, there is an edge.",
    ),
)
_ABOUT_SHIPPED = (
    "What this model can and cannot do",
    "This is the small model that comes with the package. It shows the method and runs on any "
    "laptop. It has seen drawn scenes and a few hundred photos, so it separates simple objects but "
    "knows little of the world: on photos expect colour and texture borders too. Pretrained "
    "models such as Stable Diffusion are the real thing (--model).",
)
_ABOUT_OTHER = (
    "About this model",
    "Edges are read out of {model} as it is, without training. They are as fine as its attention "
    "grid; thin parts of objects may be lost, and --tile keeps large images sharp.",
)
_ABOUT_COLORS = (
    "Reading the colours",
    "Patches with the same attention have the same colour: the three principal components of the "
    "attention map as red, green and blue, turned so that colours compare across timesteps.",
)


@dataclass(frozen=True)
class DemoScene(ImageSource):
    """A drawn scene, of which the true borders are known.

    Attributes:
        borders: bool (H, W).
    """

    borders: NDArray[np.bool_]


def demo_scenes() -> list[ImageSource]:
    """Six drawn scenes, for those who have no photo at hand."""
    scenes: list[ImageSource] = []
    for index in range(DEMO_SCENES):
        scene = render_scene(DEMO_SEED, index, DEMO_SIZE)
        borders = instance_borders(scene.instance_ids)
        scenes.append(DemoScene(f"scene_{index + 1}", scene.image, borders))
    return scenes


def write_demo(inferencer: TraceInferencer, sources: Sequence[ImageSource], out_dir: Path) -> Path:
    """Write edges, overlays and a report of images; files of the same names are replaced.

    Args:
        inferencer: the model; attention is shown if it can hand it out.
        sources: the images.
        out_dir: made if needed.

    Returns:
        The path of ``report.html``, which holds everything that it shows.

    Raises:
        ValueError: if an image cannot be read, before any is processed.
    """
    for source in sources:
        load_image(source.image, source.label)
    entries = []
    with progress_bar(len(sources), show=inferencer.show_progress) as progress:
        for source in sources:
            entries.append(_process(inferencer, source, out_dir))
            progress.update()
    backbone = inferencer.cfg.model.get("backbone", {})
    page = render_report(
        "Instance edges from a diffusion model",
        _LEAD,
        _STEPS,
        [_about_model(backbone, inferencer.model), _ABOUT_COLORS],
        entries,
        _footer(inferencer),
    )
    write_atomically(out_dir / REPORT_FILE, page.encode("utf-8", "replace"))
    return out_dir / REPORT_FILE


def _process(inferencer: TraceInferencer, source: ImageSource, out_dir: Path) -> ReportEntry:
    image = load_image(source.image, source.label)
    start = time.perf_counter()
    (sample,) = inferencer.predict_images([image])
    seconds = time.perf_counter() - start
    edges = edges_of(sample)
    overlay = draw_overlay(image, edges)
    for folder, pixels in (("edges", edges_to_8_bit(edges)), ("overlay", overlay)):
        write_atomically(out_dir / f"{folder}/{source.name}.png", encode_png(pixels))
    attention = _attention_figures(inferencer.model, image, sample)
    figures = _figures(source, image, edges, overlay)
    return _entry(source.name, sample, seconds, figures, attention)


def _about_model(backbone: Mapping[str, Any], model: Any) -> tuple[str, str]:
    pretrained = str(backbone.get("pretrained", type(model).__name__))
    if pretrained in map(str, shipped_models().values()):
        return _ABOUT_SHIPPED
    title, text = _ABOUT_OTHER
    return title, text.format(model=Path(pretrained).name)


def _footer(inferencer: TraceInferencer) -> str:
    settings = inferencer.settings()
    name = settings.get("backbone.pretrained", settings["model"])
    parts = [f"trace_mm {__version__}", f"model {name}", f"device {settings['device']}"]
    parts += [f"{key} {settings[key]}" for key in ("seed", "noise_draws") if key in settings]
    return (
        f"{', '.join(parts)}. After Jo et al., “TRACE: Your Diffusion Model is Secretly an "
        f"Instance Edge Detector”, ICLR 2026."
    )


def _figures(
    source: ImageSource,
    image: NDArray[np.float32],
    edges: NDArray[np.float32],
    overlay: NDArray[np.uint8],
) -> list[Figure]:
    name = source.name
    pixels = np.rint(image * 255).astype(np.uint8)
    figures = [
        Figure(pixels, "Image", f"The image {name}", photo=True),
        Figure(edges_to_8_bit(edges), "Instance edges", f"Edges of {name}, white on black"),
        Figure(overlay, "Both", f"Edges of {name} in pink over the faded image", photo=True),
    ]
    if isinstance(source, DemoScene):
        truth = cv2.dilate(source.borders.astype(np.uint8) * 255, np.ones((2, 2), np.uint8))
        figures.append(
            Figure(
                truth.astype(np.uint8), "True borders", f"True borders of {name}, white on black"
            )
        )
    return figures


def _entry(
    name: str,
    sample: EdgeDataSample,
    seconds: float,
    figures: Sequence[Figure],
    attention: Sequence[Figure],
) -> ReportEntry:
    timestep, scores = sample.get("timestep"), scores_of(sample)
    title = f"Score of each timestep for {name}"
    if scores and timestep is not None:
        title += f", highest at t = {timestep}"
    return ReportEntry(
        title=name,
        size=(sample.pred_edges.shape[0], sample.pred_edges.shape[1]),
        timestep=timestep,
        seconds=seconds,
        figures=figures,
        curve=draw_score_curve(scores, timestep, title),
        attention=attention,
    )


def _attention_figures(
    model: Any, image: NDArray[np.float32], sample: EdgeDataSample
) -> list[Figure]:
    """The attention at several timesteps of the search and at t*; empty for other models."""
    if not hasattr(model, "attention_maps"):
        return []
    chosen = sample.timestep
    timesteps = shown_timesteps(model.timesteps, chosen)
    device = next(model.parameters()).device
    tensor = torch.from_numpy(image).permute(2, 0, 1).to(device)  # (3, H, W)
    maps = [
        (attention[0].float().cpu().numpy(), grid)
        for _, attention, grid in model.attention_maps(tensor, timesteps)
    ]
    colors = attention_pca_colors(maps)  # turned to the first, which has the least noise
    return [
        Figure(
            _enlarged(picture, (image.shape[0], image.shape[1])),
            f"{'t*' if step == chosen and scores_of(sample) else 't'} = {step}",
            f"Attention at timestep {step} as colours",
            photo=True,
            chosen=step == chosen,
        )
        for step, picture in zip(timesteps, colors, strict=True)
    ]


def _enlarged(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture of the token grid in the shape of the image, which the grid covers."""
    scale = ATTENTION_SIZE / max(size)
    width, height = (max(1, round(length * scale)) for length in (size[1], size[0]))
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def shown_timesteps(timesteps: Sequence[int], chosen: int, most: int = ATTENTION_MAPS) -> list[int]:
    """The chosen timestep and others spread evenly over the search, increasing.

    Args:
        timesteps: of the search.
        chosen: t*, not necessarily one of them.
        most: how many to show at most.
    """
    others = [step for step in timesteps if step != chosen]
    places = np.linspace(0, len(others) - 1, min(most - 1, len(others)))
    return sorted({chosen, *(others[round(float(place))] for place in places)})
