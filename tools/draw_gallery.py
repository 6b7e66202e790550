"""Draw the gallery: photos and scenes with edges and masks by the shipped models, and its page.

What is shown, and what is said of each, stands in docs/images/gallery/list.csv.
"""

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from trace_mm.apis import PhotoSegments, TraceInferencer
from trace_mm.apis.segmenter import Segmenter
from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets import render_scene
from trace_mm.demo.report import DEMO_SEED, teacher_of
from trace_mm.files import load_image, write_atomically
from trace_mm.jobs.edge_sources import NamedImage, PredictedEdges
from trace_mm.structures import edges_of

DOCS = Path(__file__).resolve().parents[1] / "docs"
FOLDER = "images/gallery"  # below docs/
BOX = (240, 320)  # rows and columns that a picture of a strip fits into
GAP = 6  # white pixels between pictures
TOP = 20  # masks
SCENE = (256, 256)
WEBP_QUALITY = 72
MADE = "<!-- what follows is made by tools/draw_gallery.py from images/gallery/list.csv -->\n"


@dataclass(frozen=True)
class Entry:
    """A row of the list: a photo or a scene.

    Attributes:
        name: of the photo's file without suffix; ``scene-N`` is scene N of the demo's series.
        title: what is to be seen, a few words.
        problem: what went wrong.
        file: the photo's name in its package; empty for a scene, as the next three.
        package: which ships the photo.
        author: who made the photo.
        licence: of the photo.
    """

    name: str
    title: str
    problem: str
    file: str
    package: str
    author: str
    licence: str

    @property
    def scene(self) -> int | None:
        """Its number, if it is a scene."""
        return None if self.file else int(self.name.removeprefix("scene-"))


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of the pages")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="draw these, by default all")
    parser.add_argument("--page", action="store_true", help="write the page, and draw nothing")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    entries = read_list(options.docs / FOLDER / "list.csv")
    if missing := set(options.only or ()) - {entry.name for entry in entries}:
        raise ValueError(f"the list has no {', '.join(sorted(missing))}")
    chosen = [entry for entry in entries if not options.only or entry.name in options.only]
    for entry, strip in () if options.page else strips(chosen, options.docs / FOLDER / "photos"):
        write_atomically(options.docs / FOLDER / f"{entry.name}.webp", encode(strip))
        print(entry.name, flush=True)
    path = options.docs / "gallery.md"
    write_atomically(path, page(path.read_text(encoding="utf-8"), entries).encode())


def read_list(path: Path) -> list[Entry]:
    """What the gallery shows, in order."""
    with path.open(encoding="utf-8", newline="") as file:
        return [Entry(**row) for row in csv.DictReader(file)]


def strips(entries: list[Entry], photos: Path) -> Iterator[tuple[Entry, NDArray[np.uint8]]]:
    """Each entry with its strip, uint8 (h, w, 3)."""
    for model, of_scenes in (("trace-tiny-photo", False), ("trace-tiny", True)):
        shown = [entry for entry in entries if (entry.scene is not None) == of_scenes]
        if not shown:
            continue
        student = TraceInferencer(model, device="cpu", show_progress=False)
        teacher = teacher_of(student)
        assert teacher is not None
        source = PredictedEdges(student.predict_images, student.settings())
        segmenter = Segmenter(top=TOP, edges=source)
        for entry in shown:
            image = _image(entry, photos)
            taught = edges_of(teacher.predict_images([image])[0])
            found = segmenter.photos(NamedImage(entry.name, image))
            assert found.edges is not None and found.instances.scores is not None
            pixels = np.rint(image * 255).astype(np.uint8)
            drawn = PhotoSegments(pixels, found.instances.masks, found.instances.scores).plot()
            yield entry, _strip([pixels, _dark(taught), _dark(found.edges), np.asarray(drawn)])


def _image(entry: Entry, photos: Path) -> NDArray[np.float32]:
    if entry.scene is None:
        return load_image(photos / f"{entry.name}.jpg")
    return load_image(render_scene(DEMO_SEED, entry.scene, SCENE).image)


def _dark(edges: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Edges (H, W) as dark lines on white, (H, W, 3)."""
    strength = edges / max(float(edges.max()), 1e-6)
    return np.repeat(np.rint(255 * (1 - strength)).astype(np.uint8)[:, :, None], 3, axis=2)


def _strip(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    height, width = pictures[0].shape[:2]
    scale = min(BOX[0] / height, BOX[1] / width)
    size = (round(width * scale), round(height * scale))
    gap = np.full((size[1], GAP, 3), 255, dtype=np.uint8)
    shown = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures]
    return np.concatenate([part for one in shown for part in (gap, one)][1:], axis=1)


def encode(strip: NDArray[np.uint8]) -> bytes:
    """A strip as WebP."""
    done, data = cv2.imencode(".webp", strip[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY])
    assert done
    return data.tobytes()


def page(text: str, entries: list[Entry]) -> str:
    """The gallery's page, of which all after a mark is made of the entries.

    Raises:
        ValueError: if the page has no such mark.
    """
    introduction, mark, _ = text.partition(MADE)
    if not mark:
        raise ValueError(f"the page has no line {MADE.strip()!r}")
    photos = [entry for entry in entries if entry.scene is None]
    scenes = [entry for entry in entries if entry.scene is not None]
    parts = ["## Photos\n", *map(_shown, photos), "## Scenes\n", *map(_shown, scenes)]
    return introduction + mark + "\n" + "\n".join(parts)


def _shown(entry: Entry) -> str:
    picture = f"{FOLDER}/{entry.name}.webp"
    alt = f"{entry.title}: picture, edges of teacher and student, and masks side by side"
    origin = ""
    if entry.scene is None:
        origin = f" *{entry.author}, {entry.licence}; `{entry.file}` of {entry.package}.*"
    return f"""[![{alt}]({picture})]({picture})

**{entry.title}.** {entry.problem}{origin}
"""


if __name__ == "__main__":
    sys.exit(run_command(main))
