"""The demo: edges of a few images, and a report that shows where they come from."""

import io
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from trace_mm import __version__
from trace_mm.apis.image_sources import ImageSource, ImageSources
from trace_mm.apis.inferencer import TraceInferencer
from trace_mm.datasets import instance_borders, render_scene
from trace_mm.demo import text
from trace_mm.files import load_image, write_atomically
from trace_mm.files.png import encode_png
from trace_mm.jobs.edge_files import edges_to_8_bit, scores_of
from trace_mm.jobs.places import EDGE_FOLDERS, REPORT_FILE, check_demo_places
from trace_mm.models import TraceTeacher, VisionTeacher
from trace_mm.models.student_files import read_description
from trace_mm.runs.progress import watched
from trace_mm.structures import EdgeDataSample, edges_of
from trace_mm.visualization import (
    Figure,
    ReportEntry,
    attention_pca_colors,
    draw_overlay,
    draw_score_curve,
    render_report,
)

DEMO_SEED = 11  # no training or test set uses this series of scenes
DEMO_SCENES = 3
DEMO_SIZE = (256, 256)
_PHOTOS = {  # see photos/README.md
    "coffee": "photo by Rachel Michetti, CC0",
    "citrus-fruits": "photo by the US Department of Agriculture, public domain",
}
ATTENTION_MAPS = 6
ATTENTION_SIZE = 240  # pixels of the longer side
_Maps = dict[int, tuple[NDArray[np.float32], tuple[int, int]]]  # by timestep: (N, N), and its grid


@dataclass(frozen=True)
class DemoScene(ImageSource):
    """A drawn scene, of which the true borders are known.

    Attributes:
        borders: bool (H, W).
    """

    borders: NDArray[np.bool_]


@dataclass(frozen=True)
class DemoPhoto(ImageSource):
    """A photo that comes with the package.

    Attributes:
        credit: whose it is, and its licence.
    """

    credit: str


def demo_photos() -> list[ImageSource]:
    """Two openly licensed photos."""
    folder = files("trace_mm.demo") / "photos"
    return [
        DemoPhoto(name, Image.open(io.BytesIO((folder / f"{name}.jpg").read_bytes())), credit)
        for name, credit in _PHOTOS.items()
    ]


def demo_scenes() -> list[ImageSource]:
    """Drawn scenes, for those who have no photo at hand."""
    scenes: list[ImageSource] = []
    for index in range(DEMO_SCENES):
        scene = render_scene(DEMO_SEED, index, DEMO_SIZE)
        borders = instance_borders(scene.instance_ids)
        scenes.append(DemoScene(f"scene_{index + 1}", scene.image, borders))
    return scenes


@dataclass(frozen=True)
class _Reading:
    """What one model sees in an image."""

    sample: EdgeDataSample
    seconds: float

    @property
    def edges(self) -> NDArray[np.float32]:
        return edges_of(self.sample)


def write_demo(
    inferencer: TraceInferencer,
    sources: Sequence[ImageSource],
    out_dir: Path,
    also: Sequence[tuple[TraceInferencer, Sequence[ImageSource]]] = (),
) -> Path:
    """Write edges, overlays and a report of images; files of the same names are replaced.

    Beside a student's edges the report shows what its teacher sees.

    Args:
        inferencer: the model.
        sources: the images.
        out_dir: made if needed.
        also: other models of the same kind, and images for each, which are shown after these.

    Returns:
        The path of ``report.html``, which holds everything that it shows.

    Raises:
        ValueError: if an image cannot be read or would be written onto, before any is processed.
        OSError: if a result cannot be written; before any is processed, as far as it is known.
    """
    groups = [(inferencer, sources), *also]
    check_demo_places(ImageSources(one for _, group in groups for one in group).paths(), out_dir)
    for _, group in groups:
        for source in group:
            load_image(source.image, source.label)
    teachers = [teacher_of(model) for model, _ in groups]
    tasks = [
        (model, teacher, source)
        for (model, group), teacher in zip(groups, teachers, strict=True)
        for source in group
    ]
    shown = watched(tasks, show=inferencer.show_progress)
    entries = [_process(model, teacher, source, out_dir) for model, teacher, source in shown]
    reader = _reader(inferencer)
    page = render_report(
        text.HEADING,
        text.lead(reader),
        text.steps(reader),
        text.notes(reader, inferencer.cfg.model, teachers[0] is not None),
        entries,
        _footer(inferencer),
        commands=text.COMMANDS,
    )
    write_atomically(out_dir / REPORT_FILE, page.encode("utf-8", "replace"))
    return out_dir / REPORT_FILE


def teacher_of(inferencer: TraceInferencer) -> TraceInferencer | None:
    """The teacher on the backbone of a model, which is itself if it is a teacher.

    Returns:
        None for models without one: gradient detectors, models without timesteps, and students of
        which only the merged, fine-tuned backbone is there.
    """
    if inferencer.method != "student":
        return inferencer if isinstance(inferencer.model, TraceTeacher) else None
    if "merged" in read_description(inferencer.cfg.model.checkpoint):
        return None
    backbone = inferencer.cfg.model.backbone
    kept = {
        name: backbone[name] for name in ("pretrained", "revision", "dtype") if name in backbone
    }
    return TraceInferencer(
        {"type": "TraceTeacher", "backbone": kept},
        device=str(inferencer.device),
        show_progress=False,
        seed=inferencer.model.seed,
    )


def _process(
    inferencer: TraceInferencer, teacher: TraceInferencer | None, source: ImageSource, out_dir: Path
) -> ReportEntry:
    image = load_image(source.image, source.label)
    maps: _Maps = {}
    with _kept_maps(teacher, maps):  # the model's own, or the other's
        found = _read(inferencer, image)
        taught = found
        if teacher is not None and teacher is not inferencer:
            taught = _read(teacher, image)
    overlay = draw_overlay(image, found.edges)
    for kind, pixels in (("png", edges_to_8_bit(found.edges)), ("overlay", overlay)):
        write_atomically(out_dir / f"{EDGE_FOLDERS[kind]}/{source.name}.png", encode_png(pixels))
    pixels = np.rint(image * 255).astype(np.uint8)
    pictures = [Figure(pixels, "Image", f"The image {source.name}", photo=True)]
    if taught is not found:
        pictures += [
            _edge_figure(taught, source.name, "Before: the teacher’s edges"),
            _edge_figure(found, source.name, "After: the student’s edges"),
        ]
        facts = [_fact(found, "student, one pass"), _fact(taught, "teacher")]
    else:
        pictures.append(_edge_figure(found, source.name, _EDGES_OF[_reader(inferencer)]))
        facts = [_fact(found, _READ_BY[_reader(inferencer)])]
    caption = "The student’s on the image" if taught is not found else "Both"
    alt = f"Edges of {source.name} in pink over the faded image"
    pictures += [Figure(overlay, caption, alt, photo=True), *_truth_figures(source)]
    return ReportEntry(
        title=source.name,
        facts=[f"{image.shape[1]} × {image.shape[0]} pixels", *facts, *_credits(source)],
        figures=pictures,
        curve=_curve(source.name, taught.sample) if teacher is not None else "",
        attention=(
            _attention_figures(teacher.model, image, taught.sample, maps)
            if teacher is not None
            else ()
        ),
        reader="teacher" if taught is not found else "",
    )


_EDGES_OF = {
    None: "Edges",
    "teacher": "The teacher’s edges",
    "vision": "Edges of its attention",
    "student": "The student’s edges",
}
_READ_BY = {
    None: "edges",
    "teacher": "teacher",
    "vision": "attention",
    "student": "student, one pass",
}


def _reader(inferencer: TraceInferencer) -> str | None:
    """What reads the edges: a method, or "vision" for a teacher without timesteps."""
    return "vision" if isinstance(inferencer.model, VisionTeacher) else inferencer.method


def _read(inferencer: TraceInferencer, image: NDArray[np.float32]) -> _Reading:
    start = time.perf_counter()
    (sample,) = inferencer.predict_images([image])
    return _Reading(sample, time.perf_counter() - start)


def _fact(reading: _Reading, reader: str) -> str:
    timestep = reading.sample.get("timestep")
    mark = "t*" if scores_of(reading.sample) else "t"
    place = "" if timestep is None else f" at {mark} = {timestep}"
    return f"{reader}{place}, {reading.seconds:.2f} s"


def _footer(inferencer: TraceInferencer) -> str:
    settings = inferencer.settings()
    backbone = inferencer.cfg.model.get("backbone", {}).get("pretrained", settings["model"])
    parts = [f"trace_mm {__version__}", f"model {Path(backbone).name}"]
    parts += [f"device {settings['device']}", f"method {inferencer.method}"]
    shown = {"student.content": "student", "seed": "seed", "noise_draws": "noise_draws"}
    parts += [
        f"{word} {settings[key]}" for key, word in shown.items() if settings.get(key) is not None
    ]
    return (
        f"{', '.join(parts)}. After Jo et al., “TRACE: Your Diffusion Model is Secretly an "
        f"Instance Edge Detector”, ICLR 2026."
    )


def _edge_figure(reading: _Reading, name: str, caption: str) -> Figure:
    return Figure(edges_to_8_bit(reading.edges), caption, f"{caption}, {name}, white on black")


def _credits(source: ImageSource) -> list[str]:
    return [source.credit] if isinstance(source, DemoPhoto) else []


def _truth_figures(source: ImageSource) -> list[Figure]:
    if not isinstance(source, DemoScene):
        return []
    truth = cv2.dilate(source.borders.astype(np.uint8) * 255, np.ones((2, 2), np.uint8))
    alt = f"True borders of {source.name}, white on black"
    return [Figure(truth.astype(np.uint8), "True borders", alt)]


def _curve(name: str, sample: EdgeDataSample) -> str:
    timestep, scores = sample.get("timestep"), scores_of(sample)
    title = f"Score of each timestep for {name}"
    if scores and timestep is not None:
        title += f", highest at t = {timestep}"
    return draw_score_curve(scores, timestep, title)


@contextmanager
def _kept_maps(teacher: TraceInferencer | None, maps: _Maps) -> Iterator[None]:
    """Keep the attention of a teacher's search while it reads an image, if that is little.

    So the pictures need no further passes.
    """
    if teacher is None or teacher.model.tile or len(teacher.model.timesteps) > ATTENTION_MAPS:
        yield
        return

    def keep(timestep: int, attention: torch.Tensor, grid: tuple[int, int]) -> None:
        maps[timestep] = attention[0].float().cpu().numpy(), grid

    teacher.model.watch = keep
    try:
        yield
    finally:
        teacher.model.watch = None


def _attention_figures(
    model: Any, image: NDArray[np.float32], sample: EdgeDataSample, kept: _Maps
) -> list[Figure]:
    """The attention at several timesteps of the teacher's search and at t*."""
    chosen = sample.timestep
    timesteps = shown_timesteps(model.timesteps, chosen)
    if not kept.keys() >= set(timesteps):
        device = next(model.parameters()).device
        tensor = torch.from_numpy(image).permute(2, 0, 1).to(device)  # (3, H, W)
        kept = {
            timestep: (attention[0].float().cpu().numpy(), grid)
            for timestep, attention, grid in model.attention_maps(tensor, timesteps, sample)
        }
    maps = [kept[timestep] for timestep in timesteps]
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
