"""Draw how often each timestep is the emergence point t* (Eq. 1), for each divergence or class."""

import sys
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from emergence_data import EmergenceData, add_arguments, read_data

from trace_mm.commands.arguments import positive
from trace_mm.commands.command_line import Parser, run_command
from trace_mm.engine.runner_config import read_config
from trace_mm.files import check_outputs
from trace_mm.files.coco_file import CocoFile, by_rising_id
from trace_mm.files.json_file import write_json
from trace_mm.visualization.plot_style import check_figure, save_figure
from trace_mm.visualization.score_plots import plot_timestep_histogram


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    add_arguments(parser)
    parser.add_argument(
        "--by-class",
        type=positive,
        metavar="N",
        help="images of each of the N most frequent classes apart (Fig. 14c), by the first "
        "divergence; for a config whose images have a COCO instances file",
    )
    parser.add_argument("--numbers", metavar="FILE", help="JSON file for the counts and the median")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    check_figure(options.out, read=[options.source])
    check_outputs(files=[options.numbers], read=[options.source])
    images = _images_of_classes(options) if options.by_class else None
    data = read_data(options)
    chosen = data.chosen() if images is None else by_class(data, images)
    print(save_figure(plot_timestep_histogram(data.timesteps, chosen), options.out))
    if options.numbers is not None:
        every = next(iter(data.chosen().values()))
        counts = {name: {str(t): n for t, n in Counter(ts).items()} for name, ts in chosen.items()}
        write_json(Path(options.numbers), {"median": median(every), "counts": counts})


def by_class(data: EmergenceData, images: dict[str, set[Any]]) -> dict[str, list[int]]:
    """t* by the first divergence of the images of each class.

    Args:
        data: of a dataset, with the ids of its images.
        images: ids of images by class.

    Raises:
        ValueError: if none of the images is of one of the classes; names it.
    """
    chosen = next(iter(data.chosen().values()))
    found = {}
    for name, ids in images.items():
        found[name] = [t for t, one in zip(chosen, data.image_ids, strict=True) if one in ids]
        if not found[name]:
            raise ValueError(f"none of the {len(chosen)} images shows the class {name}")
    return found


def _images_of_classes(options: Any) -> dict[str, set[Any]]:
    """Ids of the images of the most frequent classes, in the part that is looked at."""
    if Path(options.source).is_dir():
        raise ValueError("--by-class needs a config: stored scores do not tell the images' classes")
    dataset = read_config(options.source, options.cfg_options).test_dataloader.dataset
    if dataset.get("annotation") != "coco_instances":
        raise ValueError(f"{options.source}: --by-class needs images with a COCO instances file")
    file = CocoFile.read(Path(dataset.get("data_root", "")) / dataset.ann_file)
    names = file.category_names()
    listed = by_rising_id(file.images())
    kept = set(list(listed)[: options.images])
    images: dict[str, set[Any]] = {}
    for key, annotations in file.by_image(listed).items():
        for one in annotations if key in kept else ():
            images.setdefault(names[one.category_id], set()).add(key)
    ranked = sorted(images, key=lambda name: (-len(images[name]), name))
    return {name: images[name] for name in ranked[: options.by_class]}


if __name__ == "__main__":
    sys.exit(run_command(main))
