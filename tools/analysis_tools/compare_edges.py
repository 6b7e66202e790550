"""Draw images with the edges of two detectors side by side: fragmented before, connected after.

Either a student's config and checkpoint, to be compared with its teacher on the test dataset, or
two folders of edge maps with the images that they belong to (--before, --after, --images).
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.commands.config_options import add_config_options
from trace_mm.engine.runner_config import read_config
from trace_mm.files import read_photo, walk_images
from trace_mm.files.edge_maps import EdgeMaps
from trace_mm.models import TraceStudent, load_student_weights
from trace_mm.registry import DATASETS, MODELS
from trace_mm.visualization.image_plots import EdgeComparison, plot_edge_comparison
from trace_mm.visualization.plot_style import check_figure, save_figure


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("config", nargs="?", help="config of a TraceStudent")
    parser.add_argument("checkpoint", nargs="?", help="of the student")
    parser.add_argument("--teacher", metavar="CONFIG", help="its teacher; default: the training's")
    parser.add_argument(
        "--indices", type=int, nargs="+", default=[0, 1, 2, 3], help="of the test dataset"
    )
    parser.add_argument("--before", metavar="DIR", help="edge maps <image stem>.png, .npz or .npy")
    parser.add_argument("--after", metavar="DIR", help="likewise")
    parser.add_argument("--truth", metavar="DIR", help="likewise, if true edges are known")
    parser.add_argument("--images", metavar="DIR", help="images that the maps belong to")
    parser.add_argument("--rows", type=int, default=4, help="how many images of the folder")
    parser.add_argument("--names", nargs=2, default=["teacher", "student"], help="of the detectors")
    parser.add_argument("--out", required=True, help="figure to write: .png, .svg or .pdf")
    add_config_options(parser)
    return parser


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser()
    options = parser.parse_args()
    folders = [options.before, options.after, options.images]
    if options.config is None and not all(folders):
        parser.error("give a config and a checkpoint, or --before, --after and --images")
    if options.config is not None and (options.checkpoint is None or any(folders)):
        parser.error("a config needs a checkpoint, and no folders")
    return options


def rows_of_folders(options: argparse.Namespace) -> list[EdgeComparison]:
    """Images of a folder with maps of the same names.

    Raises:
        FileNotFoundError: if a folder or a map is missing, or there is no image.
    """
    if not Path(options.images).is_dir():
        raise FileNotFoundError(f"{options.images}: no such folder of images")
    root = Path(options.images)
    names = [path.relative_to(root).as_posix() for path in walk_images(root)]
    if not names:
        raise FileNotFoundError(f"{options.images}: no images")
    before, after = EdgeMaps(options.before), EdgeMaps(options.after)
    truth = EdgeMaps(options.truth) if options.truth else None
    shown = names[: options.rows]
    for maps in filter(None, (before, after, truth)):
        maps.expect(shown, names)
    rows = []
    for name in shown:
        photo = read_photo(root / name)
        of_photo = name, photo.size, photo.orientation
        rows.append(
            EdgeComparison(
                photo.pixels,
                before.read(*of_photo),
                after.read(*of_photo),
                truth.read(*of_photo) if truth is not None else None,
            )
        )
    return rows


def rows_of_models(options: argparse.Namespace) -> list[EdgeComparison]:
    """Images of the config's test dataset, with edges of teacher and student.

    Raises:
        FileNotFoundError: if config or checkpoint do not exist.
        ValueError: if the config's model is no student.
    """
    cfg = read_config(options.config, options.cfg_options)
    student = MODELS.build(cfg.model)
    if not isinstance(student, TraceStudent):
        raise ValueError(f"{options.config}: the model must be a TraceStudent, got {type(student)}")
    load_student_weights(student, options.checkpoint)
    models = [_build_teacher(options, cfg), student.eval()]
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    rows = []
    for index in options.indices:
        image, sample = dataset[index]["inputs"], dataset[index]["data_samples"]
        before, after = (model([image])[0].pred_edges.numpy() for model in models)
        truth = None
        if "gt_edges" in sample:
            truth = np.asarray(sample.gt_edges).mean(axis=0, dtype=np.float32)
        rows.append(EdgeComparison(image.permute(1, 2, 0).numpy(), before, after, truth))
    return rows


def _build_teacher(options: argparse.Namespace, cfg: Config) -> Any:
    if options.teacher is not None:
        return MODELS.build(read_config(options.teacher, {}).model)
    cached = cfg.get("train_dataloader", {}).get("dataset", {}).get("pseudo_edges") or {}
    config = dict(cfg.model.get("teacher") or cached.get("teacher") or {})
    if config.setdefault("type", "TraceTeacher") == "TraceTeacher" and "backbone" not in config:
        # A student may read fewer layers than a teacher should.
        backbone = {name: value for name, value in cfg.model.backbone.items() if name != "layers"}
        config["backbone"] = backbone
    return MODELS.build(config)


def main() -> None:
    options = parse_args()
    searched = (options.before, options.after, options.truth, options.images)
    check_figure(options.out, read=[options.checkpoint], searched=searched)
    with torch.no_grad():
        rows = rows_of_models(options) if options.config else rows_of_folders(options)
    figure = plot_edge_comparison(rows, (options.names[0], options.names[1]))
    print(save_figure(figure, options.out))


if __name__ == "__main__":
    sys.exit(run_command(main))
