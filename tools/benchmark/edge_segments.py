"""What segments by different edges are worth: class-agnostic AP and AR of EdgeSegments.

Each photo's edges are found once a kind, and cut into segments with the same settings; the masks
are compared with a COCO instances file. The last column is what cutting takes, in seconds an image
of this process's time, without the edges.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from edge_models import edges_by_name, parse_settings, require_maps
from mask_refinement import detections

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets import InstanceEdgeDataset
from trace_mm.evaluation import InstanceGroundTruth, evaluate_instances
from trace_mm.files import check_outputs
from trace_mm.files.json_file import write_json
from trace_mm.models import SobelDetector, TrueEdges
from trace_mm.runs.progress import watched
from trace_mm.segments import EdgeSegments

COLUMNS = ("AP", "AP50", "AR1", "AR10", "AR100", "AP_touching", "AR100_touching")


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("data_root", type=Path, help="holds images/ and instances.json")
    parser.add_argument("--annotations", type=Path, help="other than DATA_ROOT/instances.json")
    kinds = ["student", "sobel", "canny", "true"]
    parser.add_argument(
        "--edges",
        nargs="+",
        metavar="EDGES",
        default=kinds,
        help=f"{', '.join(kinds)}, teacher, or NAME=FOLDER with the maps of any detector",
    )
    parser.add_argument("--model", default="trace-tiny-photo", help="of student and teacher")
    parser.add_argument("--size", type=int, help="at which these are shown images")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the segments"
    )
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--only", type=Path, metavar="FOLDER", help="photos that are also in it")
    chosen.add_argument("--except", type=Path, metavar="FOLDER", help="photos that are not in it")
    parser.add_argument("--out", type=Path, help="JSON file for all scores")
    return parser


def chosen_images(dataset: Any, only: Path | None, other_than: Path | None) -> list[int]:
    """Indices of a dataset's images by whether a folder has a file of their name.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if no image is left.
    """
    folder = only or other_than
    if folder is None:
        return list(range(len(dataset)))
    names = {path.name for path in folder.iterdir()}
    found = [
        index
        for index in range(len(dataset))
        if (Path(dataset.get_data_info(index)["img_path"]).name in names) == (only is not None)
    ]
    if not found:
        raise ValueError(f"{folder}: no image of the dataset is left")
    return found


@torch.no_grad()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark; ``arguments`` are those of the command line if None."""
    options = make_parser().parse_args(arguments)
    segmenter = EdgeSegments(**parse_settings(options.set))
    annotations = options.annotations or options.data_root / "instances.json"
    check_outputs(files=[options.out], read=[annotations])
    dataset = InstanceEdgeDataset(
        annotation="coco_instances",
        data_root=str(options.data_root),
        ann_file=str(annotations.absolute()),
        data_prefix={"img_path": "images"},
    )
    indices = chosen_images(dataset, options.only, getattr(options, "except"))
    computed = {"true": TrueEdges(), "sobel": SobelDetector()}
    models = edges_by_name(options.edges, computed, options.model, options.size)
    photos = [Path(dataset.get_data_info(index)["img_path"]) for index in indices]
    for model in models.values():
        require_maps(model, photos, options.data_root / "images")
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in models}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    image_ids = []
    for index in watched(indices):
        item = dataset[index]
        image, sample = item["inputs"], item["data_samples"]  # (3, H, W) in [0, 1]
        image_ids.append(sample.image_id)
        for name, model in models.items():
            edges = model([image], [sample], mode="predict")[0].pred_edges.numpy()
            start = process_time()
            masks = segmenter(edges)
            seconds[name].append(process_time() - start)
            results[name] += detections(sample.image_id, masks)
    table = scores(annotations, results, seconds, image_ids)
    if options.out is not None:
        content = {"segments": segmenter.settings(), "images": len(image_ids), "scores": table}
        write_json(options.out, content)


def scores(
    annotations: Path,
    results: dict[str, list[dict[str, Any]]],
    seconds: dict[str, list[float]],
    image_ids: Sequence[Any],
) -> dict[str, dict[str, float]]:
    """Print and return a row of scores for each kind of edges."""
    truth = InstanceGroundTruth.read(annotations)
    table = {}
    print(f"{'edges':10} " + " ".join(f"{column:>14}" for column in (*COLUMNS, "seconds")))
    for name, found in results.items():
        row = evaluate_instances(truth, found, image_ids=image_ids).to_dict()
        table[name] = {**row, "seconds": float(np.mean(seconds[name]))}
        values = " ".join(f"{100 * row[column]:14.1f}" for column in COLUMNS)
        print(f"{name:10} {values} {table[name]['seconds']:14.3f}  {len(found)} masks", flush=True)
    return table


if __name__ == "__main__":
    sys.exit(run_command(main))
