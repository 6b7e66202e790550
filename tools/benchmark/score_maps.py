"""What edges do for score maps: mIoU of decided scores, as they are and refined.

True class maps are worn down to noisy scores on a coarse grid, as open-vocabulary methods make them
(trace_mm/datasets/simulated_scores.py). Each kind of edges refines the same scores.
"""

import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from edge_models import edges_by_name, parse_settings, require_maps

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets import instance_borders
from trace_mm.datasets.simulated_scores import simulate_scores
from trace_mm.evaluation import SemanticScores, confusion_matrix
from trace_mm.files import check_outputs, read_photo_of, walk_images
from trace_mm.files.id_maps import VOID, read_id_map
from trace_mm.files.json_file import write_json
from trace_mm.refinement import ScorePropagation
from trace_mm.runs.progress import watched
from trace_mm.structures import EdgeDataSample, edges_of

EDGES = ("none", "canny", "student", "true")


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("images", type=Path, help="folder of images")
    parser.add_argument("semantic", type=Path, help="folder of class maps <stem>.png, 255 is void")
    parser.add_argument(
        "--edges",
        nargs="+",
        metavar="EDGES",
        default=list(EDGES),
        help=f"{', '.join(EDGES)}, teacher, or NAME=FOLDER with the maps of any detector; none "
        "decides scores as they are, true takes the borders of classes",
    )
    parser.add_argument("--model", default="trace-tiny", help="of student and teacher")
    parser.add_argument("--size", type=int, help="at which these are shown images")
    parser.add_argument("--length", type=int, help="take so many images only, spread evenly")
    parser.add_argument("--classes", type=int, default=9, help="how many there are")
    parser.add_argument("--tokens", type=int, nargs="+", default=[16, 32], help="of longer sides")
    parser.add_argument("--noise", type=float, nargs="+", default=[0.15, 0.3], help="of tokens")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the refinement"
    )
    parser.add_argument("--write", type=Path, metavar="DIR", help="folder for the first scores")
    parser.add_argument("--out", type=Path, help="JSON file for all scores")
    return parser


@torch.no_grad()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark; ``arguments`` are those of the command line if None."""
    options = make_parser().parse_args(arguments)
    refiner = ScorePropagation(**parse_settings(options.set))
    check_outputs(files=[options.out], folders=[options.write], searched=[options.images])
    computed = {"none": None, "true": None}  # without a model
    models = edges_by_name(options.edges, computed, options.model, options.size)
    images = [
        path
        for path in walk_images(options.images)
        if (options.semantic / f"{path.stem}.png").is_file()
    ]
    count = min(options.length or len(images), len(images))
    images = [images[number * len(images) // count] for number in range(count)]
    for model in models.values():
        require_maps(model, images, options.images)
    kinds = [(tokens, noise) for noise in options.noise for tokens in options.tokens]
    shape = (options.classes, options.classes + 1)
    confusion: dict[tuple[int, float, str], np.ndarray] = defaultdict(
        lambda: np.zeros(shape, np.int64)
    )
    for index, path in enumerate(watched(images)):
        ids = read_id_map(options.semantic / f"{path.stem}.png").ids
        classes = np.where(ids == VOID, -1, ids).astype(np.int32)
        size = (ids.shape[0], ids.shape[1])
        photo = read_photo_of(path, size)
        lines = {}
        for name, model in models.items():
            if model is not None:
                meta = {"img_path": str(path), "orientation": photo.orientation}
                image = torch.from_numpy(photo.pixels).permute(2, 0, 1)  # (3, H, W)
                found = model([image], [EdgeDataSample(metainfo=meta)], mode="predict")[0]
                lines[name] = edges_of(found)
            else:
                border = instance_borders(ids.astype(np.int32)).astype(np.float32)
                lines[name] = border if name == "true" else None
        for kind in kinds:
            scores = simulate_scores(classes, options.classes, *kind, seed=0, index=index)
            if options.write is not None and kind == kinds[0]:
                options.write.mkdir(parents=True, exist_ok=True)
                np.savez_compressed(options.write / f"{path.stem}.npz", scores.astype(np.float16))
            for name, edges in lines.items():
                decided = refiner(scores, size, edges)
                confusion[*kind, name] += confusion_matrix(classes, decided, options.classes)
    report(confusion, options.out, {"refiner": refiner.settings(), "images": len(images)})


def report(
    confusion: dict[tuple[int, float, str], np.ndarray],
    out: Path | None,
    settings: dict[str, object],
) -> None:
    """Print mIoU by tokens, noise and edges, and write it to a file if one is named."""
    names = list(dict.fromkeys(name for _, _, name in confusion))
    table: dict[str, dict[str, float]] = defaultdict(dict)
    for (tokens, noise, name), counts in confusion.items():
        table[f"{tokens} tokens, noise {noise:g}"][name] = SemanticScores.of(counts).percentages()[
            "mIoU"
        ]
    print(f"{'mIoU':24}" + "".join(f"{name:>10}" for name in names))
    for kind, scores in table.items():
        print(f"{kind:24}" + "".join(f"{scores[name]:10.1f}" for name in names))
    if out is not None:
        write_json(out, {**settings, "mIoU": table})


if __name__ == "__main__":
    sys.exit(run_command(main))
