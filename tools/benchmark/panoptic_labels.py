"""How good pseudo-panoptic labels are, by edges: PQ of labels that are made of true class masks.

A panoptic dataset is read. Its class masks, as they are and worn down as methods make them that
learn from image tags, become panoptic labels by each kind of edges, with the same settings.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from edge_models import edges_by_name, parse_settings, require_maps
from numpy.typing import NDArray

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets import instance_borders
from trace_mm.datasets.degraded_masks import degrade_classes
from trace_mm.evaluation.panoptic_dataset import PanopticDataset, PanopticImage
from trace_mm.evaluation.panoptic_quality import SegmentCounts, panoptic_quality, sum_counts
from trace_mm.files import Photo, check_outputs, read_photo_of
from trace_mm.files.panoptic import read_panoptic_png
from trace_mm.panoptic import PanopticLabeler
from trace_mm.runs.progress import watched
from trace_mm.structures import EdgeDataSample, edges_of

EDGES = ("none", "canny", "teacher", "student", "true")
COLUMNS = ("PQ", "PQ_th", "PQ_st", "SQ", "RQ")
VOID = -1


def find_edges(
    name: str, model: Any, photo: Photo, path: Path, ids: NDArray[np.int32]
) -> NDArray[np.float32] | None:
    """Edges (H, W) of the image in a file whose true segments are ``ids``; None for none."""
    if name == "none":
        return None
    if name == "true":
        return instance_borders(ids).astype(np.float32)
    image = torch.from_numpy(photo.pixels).permute(2, 0, 1)  # (3, H, W)
    sample = EdgeDataSample(metainfo={"img_path": str(path), "orientation": photo.orientation})
    return edges_of(model([image], [sample], mode="predict")[0])


def class_masks(
    ids: NDArray[np.int32], image: PanopticImage, order: list[int]
) -> NDArray[np.int32]:
    """The class number (H, W) of each pixel, an index into ``order``; crowds are void."""
    table = np.full(int(ids.max()) + 1, VOID, dtype=np.int32)
    for segment, category in image.categories.items():
        if segment not in image.crowds:
            table[segment] = order.index(category)
    return table[ids]


def worn(
    classes: NDArray[np.int32], num_things: int, num_classes: int, index: int
) -> NDArray[np.int32]:
    """Class masks (H, W) worn down; what they lose becomes the first stuff, or void if none is."""
    if num_things < num_classes:
        return degrade_classes(classes, num_things, seed=0, index=index, void=VOID)
    # Masks may also spread over what is void: nothing stays as it is.
    return degrade_classes(classes, VOID, seed=0, index=index, void=VOID - 1)


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("images", type=Path, help="folder of images")
    parser.add_argument("panoptic", type=Path, help="folder with panoptic.json and panoptic/")
    parser.add_argument(
        "--edges",
        nargs="+",
        metavar="EDGES",
        default=list(EDGES),
        help=f"{', '.join(EDGES)}, or NAME=FOLDER with the maps of any detector",
    )
    parser.add_argument("--model", default="trace-tiny", help="of student and teacher")
    parser.add_argument("--size", type=int, help="at which these are shown images")
    parser.add_argument("--length", type=int, help="take so many images only")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the labels"
    )
    parser.add_argument("--out", type=Path, help="JSON file for all scores")
    return parser


@torch.no_grad()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark; ``arguments`` are those of the command line if None."""
    options = make_parser().parse_args(arguments)
    labeler = PanopticLabeler(**parse_settings(options.set))
    check_outputs(files=[options.out], read=[options.panoptic / "panoptic.json"])
    truth = PanopticDataset.read(options.panoptic / "panoptic.json", options.panoptic / "panoptic")
    order = sorted(truth.names, key=lambda category: category not in truth.things)
    computed = {"none": None, "true": None}  # without a model
    models = edges_by_name(options.edges, computed, options.model, options.size)
    images = list(truth.images.values())[: options.length]
    for model in models.values():
        require_maps(model, [options.images / image.file_name for image in images], options.images)
    counts: dict[tuple[str, str], list[dict[int, SegmentCounts]]] = defaultdict(list)
    for index, image in enumerate(watched(images)):
        ids = read_panoptic_png(image.png, image.size)
        path = options.images / image.file_name
        photo = read_photo_of(path, (ids.shape[0], ids.shape[1]))
        found = {name: find_edges(name, model, photo, path, ids) for name, model in models.items()}
        true = class_masks(ids, image, order)
        kinds = {"perfect": true, "degraded": worn(true, len(truth.things), len(order), index)}
        for kind, classes in kinds.items():
            for name, edges in found.items():
                labels = labeler(classes, len(truth.things), edges)
                categories = {
                    number: order[one] for number, one in enumerate(labels.classes.tolist(), 1)
                }
                counts[kind, name].append(image.count(labels.ids, categories))
    table = {}
    print(f"{'masks':10} {'edges':10}" + "".join(f"{column:>8}" for column in COLUMNS))
    for (kind, name), found_counts in counts.items():
        scores = panoptic_quality(sum_counts(found_counts), truth.things).percentages()
        table[f"{kind} {name}"] = scores
        values = "".join(
            f"{scores[column]:8.1f}" if column in scores else f"{'-':>8}" for column in COLUMNS
        )
        print(f"{kind:10} {name:10}{values}", flush=True)
    if options.out is not None:
        settings = {"labeler": labeler.settings(), "images": len(images)}
        options.out.write_text(
            json.dumps({**settings, "scores": table}, indent=1), encoding="utf-8"
        )


if __name__ == "__main__":
    sys.exit(run_command(main))
