"""What refinement by different edges is worth: class-agnostic AP and AR of masks before and after.

The images, their true instances and the masks of one or several methods are read; each image's
edges are found once a kind, and all masks are refined by them with the same settings. AP is given
by three kinds of scores, of masks before and after alike: those of the source (1 where it has
none), the same for all, and by the edges. The other figures are by those of ``--scores``.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from edge_models import edges_by_name, parse_settings, require_maps

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets import SourceMaskDataset
from trace_mm.evaluation import InstanceGroundTruth, evaluate_instances
from trace_mm.files import check_outputs
from trace_mm.files.coco import encode_rle
from trace_mm.models import TrueEdges
from trace_mm.refinement import SCORES, BoundaryGuidedPropagation, InstanceMasks, scored
from trace_mm.refinement.instance_data import instance_masks
from trace_mm.refinement.scores import ranked
from trace_mm.runs.progress import watched
from trace_mm.structures import EdgeDataSample

SCORED = tuple(f"AP_{scores}" for scores in SCORES)
COLUMNS = (*SCORED, "AP50", "AP75", "AR100", "AP_touching", "AP_apart")


def detections(image_id: int, masks: InstanceMasks) -> list[dict[str, Any]]:
    """COCO results of one image."""
    scores = np.ones(len(masks)) if masks.scores is None else masks.scores
    return [
        {"image_id": image_id, "segmentation": encode_rle(mask), "score": float(score)}
        for mask, score in zip(masks.masks, scores, strict=True)
        if mask.any()
    ]


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("data_root", type=Path, help="holds images/ and instances.json")
    parser.add_argument("--annotations", type=Path, help="other than DATA_ROOT/instances.json")
    parser.add_argument("--masks", type=Path, nargs="+", required=True, help="files to refine")
    kinds = ["student", "teacher", "canny", "true"]
    parser.add_argument(
        "--edges",
        nargs="+",
        metavar="EDGES",
        default=kinds,
        help=f"{', '.join(kinds)}, or NAME=FOLDER with the maps of any detector",
    )
    parser.add_argument("--model", default="trace-tiny", help="of student and teacher")
    parser.add_argument("--size", type=int, help="at which these are shown images")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the refinement"
    )
    parser.add_argument("--scores", choices=SCORES, default="source", help="of the other figures")
    parser.add_argument("--out", type=Path, help="JSON file for all scores")
    return parser


@torch.no_grad()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark; ``arguments`` are those of the command line if None."""
    options = make_parser().parse_args(arguments)
    refiner = BoundaryGuidedPropagation(**parse_settings(options.set))
    annotations = options.annotations or options.data_root / "instances.json"
    check_outputs(files=[options.out], read=[annotations, *options.masks])
    images = {
        "type": "InstanceEdgeDataset",
        "annotation": "coco_instances",
        "data_root": str(options.data_root),
        "ann_file": str(annotations.absolute()),
        "data_prefix": {"img_path": "images"},
    }
    if len({path.stem for path in options.masks}) < len(options.masks):
        raise ValueError("files of masks must have different names")
    datasets = {path.stem: SourceMaskDataset(images, {"path": path}) for path in options.masks}
    models = edges_by_name(options.edges, {"true": TrueEdges()}, options.model, options.size)
    results: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    first = next(iter(datasets.values()))
    photos = [Path(first.images.get_data_info(index)["img_path"]) for index in range(len(first))]
    for model in models.values():
        require_maps(model, photos, options.data_root / "images")
    for index in watched(range(len(first))):
        item = first[index]
        given = item["data_samples"]
        edges = {}
        for name, model in models.items():
            sample = EdgeDataSample(metainfo=given.metainfo, gt_edges=given.gt_edges)
            edges[name] = model([item["inputs"]], [sample], mode="predict")[0].pred_edges.numpy()
        for method, dataset in datasets.items():
            source = instance_masks(dataset[index]["data_samples"].source_instances)
            for name, lines in edges.items():
                refined = refiner(source, lines).instances
                for scores in SCORES:
                    plain = scored(source, lines, scores)  # in the source's order
                    again = scored(refined, lines, scores)
                    again = again.select(ranked(again))
                    for kind, masks in ((f"no {name}", plain), (name, again)):
                        found = detections(given.image_id, masks)
                        results.setdefault((method, kind, scores), []).extend(found)
    truth = InstanceGroundTruth.read(annotations)
    table = {}
    print(f"{'masks':24} {'edges':10} " + " ".join(f"{column:>11}" for column in COLUMNS))
    for method, name in dict.fromkeys((method, name) for method, name, _ in results):
        by_scores = {
            scores: evaluate_instances(truth, results[method, name, scores]).to_dict()
            for scores in SCORES
        }
        row = {f"AP_{scores}": found["AP"] for scores, found in by_scores.items()}
        row |= {column: by_scores[options.scores][column] for column in COLUMNS[len(SCORES) :]}
        table[f"{method} {name}"] = row
        values = " ".join(f"{100 * row[column]:11.1f}" for column in COLUMNS)
        count = len(results[method, name, options.scores])
        print(f"{method:24} {name:10} {values}  {count} masks", flush=True)
    if options.out is not None:
        settings = {"refiner": refiner.settings(), "images": len(first)}
        options.out.write_text(
            json.dumps({**settings, "scores": table}, indent=1), encoding="utf-8"
        )


if __name__ == "__main__":
    sys.exit(run_command(main))
