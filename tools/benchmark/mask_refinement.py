"""What refinement by different edges is worth: class-agnostic AP and AR of masks before and after.

The images, their true instances and the masks of one or several methods are read; each image's
edges are found once a kind, and all masks are refined by them with the same settings.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from edge_models import build_edges, parse_settings
from numpy.typing import NDArray
from tqdm import tqdm

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets import SourceMaskDataset
from trace_mm.evaluation import InstanceGroundTruth, evaluate_instances
from trace_mm.files import check_outputs
from trace_mm.files.coco import encode_rle
from trace_mm.models import TrueEdges
from trace_mm.refine import BoundaryGuidedPropagation, InstanceMasks, outline_scores
from trace_mm.refine.mask_refiner import instance_masks
from trace_mm.structures import EdgeDataSample

COLUMNS = ("AP", "AP50", "AP75", "AR100", "AP_touching", "AP_apart")


def detections(image_id: int, masks: InstanceMasks) -> list[dict[str, Any]]:
    """COCO results of one image."""
    scores = np.ones(len(masks)) if masks.scores is None else masks.scores
    return [
        {"image_id": image_id, "segmentation": encode_rle(mask), "score": float(score)}
        for mask, score in zip(masks.masks, scores, strict=True)
        if mask.any()
    ]


def scored(masks: InstanceMasks, edges: NDArray[np.float32]) -> InstanceMasks:
    """The same masks, with a score."""
    if masks.scores is not None:
        return masks
    return InstanceMasks(masks.masks, masks.labels, outline_scores(masks.masks, edges))


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("data_root", type=Path, help="holds images/ and instances.json")
    parser.add_argument("--masks", type=Path, nargs="+", required=True, help="files to refine")
    kinds = ["student", "teacher", "canny", "true"]
    parser.add_argument("--edges", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--model", default="trace-tiny", help="of student and teacher")
    parser.add_argument("--size", type=int, help="at which these are shown images")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the refinement"
    )
    parser.add_argument("--out", type=Path, help="JSON file for all scores")
    return parser


@torch.no_grad()
def main() -> None:
    options = make_parser().parse_args()
    refiner = BoundaryGuidedPropagation(**parse_settings(options.set))
    annotations = options.data_root / "instances.json"
    check_outputs(files=[options.out], read=[annotations, *options.masks])
    images = {
        "type": "InstanceEdgeDataset",
        "annotation": "coco_instances",
        "data_root": str(options.data_root),
        "ann_file": "instances.json",
        "data_prefix": {"img_path": "images"},
    }
    if len({path.stem for path in options.masks}) < len(options.masks):
        raise ValueError("files of masks must have different names")
    datasets = {path.stem: SourceMaskDataset(images, {"path": path}) for path in options.masks}
    models = {
        name: TrueEdges() if name == "true" else build_edges(name, options.model, options.size)
        for name in options.edges
    }
    results: dict[tuple[str, str], list[dict[str, Any]]] = {}
    first = next(iter(datasets.values()))
    for index in tqdm(range(len(first)), unit="image"):
        item = first[index]
        given = item["data_samples"]
        edges = {}
        for name, model in models.items():
            sample = EdgeDataSample(metainfo=given.metainfo, gt_edges=given.gt_edges)
            edges[name] = model([item["inputs"]], [sample], mode="predict")[0].pred_edges.numpy()
        for method, dataset in datasets.items():
            source = instance_masks(dataset[index]["data_samples"].source_instances)
            plain = scored(source, next(iter(edges.values())))
            results.setdefault((method, "none"), []).extend(detections(given.image_id, plain))
            for name, lines in edges.items():
                refined = refiner(source, lines).instances
                results.setdefault((method, name), []).extend(detections(given.image_id, refined))
    truth = InstanceGroundTruth.read(annotations)
    table = {}
    print(f"{'masks':24} {'edges':8} " + " ".join(f"{column:>11}" for column in COLUMNS))
    for (method, name), found in results.items():
        scores = evaluate_instances(truth, found).to_dict()
        table[f"{method} {name}"] = {column: scores[column] for column in COLUMNS}
        values = " ".join(f"{100 * scores[column]:11.1f}" for column in COLUMNS)
        print(f"{method:24} {name:8} {values}  {len(found)} masks", flush=True)
    if options.out is not None:
        settings = {"refiner": refiner.settings(), "images": len(first)}
        options.out.write_text(
            json.dumps({**settings, "scores": table}, indent=1), encoding="utf-8"
        )


if __name__ == "__main__":
    sys.exit(run_command(main))
