"""What tiles and adaptation do for small objects: edges and masks of nuclei (Table 15).

A folder of the Data Science Bowl's layout is read: a folder an image, with ``images`` and
``masks``. The shipped student is asked as it is, with tiles for objects of the size that each image
shows (auto), of a given one (``--object-size``), and of the true one (the median nucleus's); then,
adapted to the folder without its masks, as it is and with tiles (auto). Adapted students are named
by their checkpoints, since training takes longer than all else: see docs/training.md.

ODS and OIS are of edges. PQ is that of each image, all nuclei as one class, of three masks: Otsu's
foreground cut by the edges, the true foreground cut by them, and what edges alone enclose. Without
edges, masks are the connected parts of the foreground; true edges are an upper bound.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from edge_models import parse_settings
from numpy.typing import NDArray

from trace_mm.commands.arguments import positive_number
from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets import InstanceEdgeDataset
from trace_mm.evaluation.edge_counts import CountingSettings, ImageCounts, count_edges
from trace_mm.evaluation.edge_scores import summarize
from trace_mm.evaluation.panoptic_quality import SegmentCounts, count_segments, mean_image_quality
from trace_mm.files import check_outputs
from trace_mm.files.binary_masks import read_mask
from trace_mm.files.json_file import write_json
from trace_mm.models import build_student
from trace_mm.models.object_tiles import SMALLEST_SHARE, Tiling
from trace_mm.panoptic import PanopticLabeler
from trace_mm.refinement import InstanceMasks
from trace_mm.runs.progress import watched
from trace_mm.segments import EdgeSegments
from trace_mm.structures import EdgeDataSample

NUCLEUS, GROUND = 0, 1  # classes
KINDS = ("otsu", "true ground", "segments")
COLUMNS = ("ODS", "OIS", "clDice", *(f"PQ {kind}" for kind in KINDS))
Ids = NDArray[np.int32]


@dataclass
class Row:
    """What has been counted of one kind of edges, image by image."""

    edges: list[ImageCounts] = field(default_factory=list)
    masks: dict[str, list[dict[int, SegmentCounts]]] = field(
        default_factory=lambda: {kind: [] for kind in KINDS}
    )

    def scores(self, settings: CountingSettings) -> dict[str, float]:
        """By column; those of edges only where there are some."""
        found = summarize(self.edges, settings).metrics() if self.edges else {}
        scores = {name: found[name] for name in COLUMNS if name in found}
        for kind, counts in self.masks.items():
            quality = mean_image_quality(counts, {NUCLEUS}) if counts else None
            if quality is not None:
                scores[f"PQ {kind}"] = quality.pq
        return scores


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("data_root", type=Path, help="a folder an image: images/ and masks/")
    parser.add_argument("--student", default="trace-tiny", help="as it is (default: trace-tiny)")
    parser.add_argument(
        "--adapted",
        nargs="*",
        default=[],
        metavar="NAME=CHECKPOINT",
        help="students that were adapted to the folder",
    )
    parser.add_argument(
        "--object-size", type=positive_number, metavar="PIXELS", help="one for all images too"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take each Nth image")
    parser.add_argument("--largest", type=int, metavar="PIXELS", help="take no larger image")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the labeler"
    )
    parser.add_argument("--show", type=Path, metavar="DIR", help="write edges of three images")
    parser.add_argument("--out", type=Path, help="JSON file for all scores")
    return parser


def true_ids(folder: Path, size: tuple[int, ...]) -> Ids:
    """Numbers from 1 of the true nuclei, (H, W), 0 elsewhere; the smaller one is in front."""
    masks = [read_mask(path)[0] for path in sorted(folder.glob("*.png"))]
    ids = np.zeros(size, dtype=np.int32)
    for number, mask in enumerate(sorted(masks, key=np.count_nonzero, reverse=True), start=1):
        ids[mask] = number
    return ids


def usual_true_size(ids: Ids) -> float:
    """The median diameter of discs as large as the true nuclei, in pixels."""
    areas = np.bincount(ids.ravel())[1:]
    return float(np.median(np.sqrt(areas[areas > 0] * 4 / np.pi)))


def otsu_foreground(photo: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The smaller part of a photo (H, W, 3) by Otsu's threshold of its grey values."""
    grey = cv2.GaussianBlur(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), (0, 0), 1.0)
    _, bright = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    found: NDArray[np.bool_] = bright > 0
    return found if found.mean() <= 0.5 else ~found


def painted(masks: InstanceMasks, size: tuple[int, ...]) -> Ids:
    """Numbers from 1 of masks by falling score, the best in front."""
    ids = np.zeros(size, dtype=np.int32)
    for number in range(len(masks), 0, -1):
        ids[masks.masks[number - 1]] = number
    return ids


def counted(true: Ids, found: Ids) -> dict[int, SegmentCounts]:
    """Matches of one image; what is no nucleus is background, not void."""

    def all_of(ids: Ids) -> tuple[Ids, dict[int, int]]:
        ground = int(ids.max()) + 1
        whole = np.where(ids > 0, ids, ground)
        present = np.unique(whole).tolist()
        return whole, {one: GROUND if one == ground else NUCLEUS for one in present}

    return count_segments(*all_of(true), *all_of(found))


class Judge:
    """Counts an image's edges, and the masks that are made with them."""

    def __init__(self, labeler: PanopticLabeler) -> None:
        self.settings = CountingSettings()
        self.labeler, self.segmenter = labeler, EdgeSegments()
        self.rows: dict[str, Row] = {}

    def see(
        self,
        name: str,
        edges: NDArray[np.float32] | None,
        photo: NDArray[np.uint8],
        true: Ids,
        borders: NDArray[np.bool_],
    ) -> None:
        """Count one image.

        Args:
            name: of the row.
            edges: (H, W) in [0, 1]; None for masks without any.
            photo: (H, W, 3).
            true: numbers of nuclei (H, W), 0 elsewhere.
            borders: (1, H, W), theirs.
        """
        row = self.rows.setdefault(name, Row())
        if edges is not None:
            row.edges.append(count_edges(edges, borders, self.settings))
            row.masks["segments"].append(counted(true, painted(self.segmenter(edges), true.shape)))
        for kind, ground in (("otsu", otsu_foreground(photo)), ("true ground", true > 0)):
            classes = np.where(ground, NUCLEUS, GROUND).astype(np.int32)
            labels = self.labeler(classes, 1, edges)
            things = np.flatnonzero(labels.classes == NUCLEUS) + 1
            ids = np.where(np.isin(labels.ids, things), labels.ids, 0).astype(np.int32)
            row.masks[kind].append(counted(true, ids))


def readings(
    students: dict[str, Any], object_size: float | None, true_size: float
) -> Iterator[tuple[str, Any]]:
    """Each row's name with its student, which is set to read images so."""
    for name, student in students.items():
        sizes: dict[str, Any] = {"whole": None, "tiles auto": "auto"}
        if name == "shipped":
            if object_size is not None:
                sizes[f"tiles {object_size:g}"] = object_size
            sizes["tiles true size"] = SMALLEST_SHARE * true_size
        for how, size in sizes.items():
            student.tiling = Tiling(size, None, student.size, student.backbone.token)
            yield f"{name}, {how}", student


@torch.no_grad()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark; ``arguments`` are those of the command line if None."""
    options = make_parser().parse_args(arguments)
    settings = {"preset": "scenes", "min_fragment": 12, **parse_settings(options.set)}
    judge = Judge(PanopticLabeler(**settings))
    check_outputs(files=[options.out], read=[options.data_root])
    dataset = InstanceEdgeDataset(
        annotation="mask_folders", data_root=str(options.data_root), data_prefix={"img_path": ""}
    )
    students = {"shipped": build_student(options.student).eval()}
    for item in options.adapted:
        name, _, checkpoint = item.partition("=")
        students[name] = build_student(checkpoint).eval()
    taken = []
    for index in watched(range(0, len(dataset), options.every)):
        item = dataset[index]
        image, sample = item["inputs"], item["data_samples"]  # (3, H, W) in [0, 1]
        if options.largest is not None and max(image.shape[1:]) > options.largest:
            continue
        taken.append(sample.image_id)
        photo = (image.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()  # (H, W, 3)
        borders = sample.gt_edges
        true = true_ids(Path(sample.img_path).parents[1] / "masks", photo.shape[:2])
        judge.see("no edges", None, photo, true, borders)
        judge.see("true edges", borders[0].astype(np.float32), photo, true, borders)
        for name, student in readings(students, options.object_size, usual_true_size(true)):
            found = student.predict([image], [EdgeDataSample(metainfo=sample.metainfo)])[0]
            edges = found.pred_edges.numpy()
            judge.see(name, edges, photo, true, borders)
            if options.show is not None and len(taken) <= 3:
                write_picture(options.show / f"{len(taken)} {name}.png", photo, edges)
    if not taken:
        raise ValueError(f"{options.data_root}: no image is left")
    table = report(judge)
    if options.out is not None:
        content = {"images": taken, "labeler": judge.labeler.settings(), "scores": table}
        write_json(options.out, content)


def write_picture(path: Path, photo: NDArray[np.uint8], edges: NDArray[np.float32]) -> None:
    """A photo (H, W, 3), with its brightness stretched, beside its edges (H, W)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bright = np.rint(photo * (255 / max(int(photo.max()), 1))).astype(np.uint8)
    lines = np.repeat(np.rint(edges * 255).astype(np.uint8)[..., None], 3, axis=2)
    cv2.imwrite(str(path), np.hstack([bright[..., ::-1], lines]))


def report(judge: Judge) -> dict[str, dict[str, float]]:
    """Print and return the scores of each row."""
    table = {name: row.scores(judge.settings) for name, row in judge.rows.items()}
    print(f"{'edges':28}" + "".join(f"{column:>16}" for column in COLUMNS))
    for name, scores in table.items():
        values = (
            f"{scores[column]:16.3f}" if column in scores else f"{'-':>16}" for column in COLUMNS
        )
        print(f"{name:28}" + "".join(values), flush=True)
    return table


if __name__ == "__main__":
    sys.exit(run_command(main))
