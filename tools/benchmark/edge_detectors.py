"""How good the edges of several detectors are on the same photos (Table 6), calibrated alike.

Edges of each detector are written once, to OUT/NAME, or taken from a folder. With --calibrate-on,
scale and offset of their logits are fitted on those photos, and calibrated maps are written to
OUT/calibrated/NAME: a threshold then means the same for all detectors. Scores are of the maps as
the detectors make them, of the other photos, of those, and of all. A run that was interrupted
goes on with the edges where it stopped.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from edge_models import require_maps
from mmengine.config import Config

from trace_mm.apis import expand_inputs, run_folder
from trace_mm.commands.command_line import EXIT_STATUS, Parser, run_command
from trace_mm.datasets import InstanceEdgeDataset
from trace_mm.evaluation import CountingSettings, ImageCounts, summarize
from trace_mm.evaluation.calibrated_maps import Evidence, calibrate_maps, evidence_of, joined
from trace_mm.evaluation.calibration import calibrated, fit_calibration, reliability
from trace_mm.evaluation.counting_pool import CountingPool
from trace_mm.files import check_outputs, write_atomically
from trace_mm.files.coco_file import CocoFile
from trace_mm.files.json_file import write_json
from trace_mm.jobs.edge_sources import EdgeModel, ImagePredictions
from trace_mm.models import EdgeFolder
from trace_mm.models.model_config import model_config
from trace_mm.runs.progress import watched

CONFIGS = Path(__file__).parents[2] / "configs/edges"
GRADIENTS = ("sobel", "canny")
TRACE = ("student", "teacher")
ANNOTATIONS = "instances.json"
COLUMNS = ("ODS", "OIS", "AP", "clDice", "precision", "recall", "error", "calibrated error")
RESERVED = ("calibrated", "swap", "none", "true")  # what else is in the folder, or is compared

Scores = dict[str, float]


@dataclass(frozen=True)
class Found:
    """What was counted of a detector, an entry a photo, and how it is calibrated."""

    counts: list[ImageCounts]
    evidence: list[Evidence]
    calibration: tuple[float, float] | None

    def scores(self, photos: Sequence[int]) -> Scores:
        """Scores of some photos, by their numbers."""
        found = summarize([self.counts[photo] for photo in photos])
        values, true = joined(self.evidence[photo] for photo in photos)
        row = {"ODS": found.ods, "OIS": found.ois, "AP": found.ap, "clDice": found.cldice}
        row |= {"precision": found.precision, "recall": found.recall}
        row |= {"threshold": found.threshold, "error": reliability(values, true).error}
        if self.calibration is not None:
            said = calibrated(values, *self.calibration)
            row["calibrated error"] = reliability(said, true).error
        return row


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(
        description=__doc__,
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data_root", type=Path, help=f"holds images/ and {ANNOTATIONS}")
    parser.add_argument(
        "--detectors",
        nargs="+",
        required=True,
        metavar="DETECTOR",
        help=f"{', '.join(GRADIENTS + TRACE)}, or NAME=FOLDER with the maps of any detector",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--calibrate-on",
        type=Path,
        metavar="LIST",
        help="photos for calibration: a COCO file (.json), a table with the column file or "
        "file_name (.csv), or a name a line; names that the data lack are passed over",
    )
    parser.add_argument("--model", help="of student and teacher (default: the shipped one)")
    parser.add_argument("--size", type=int, help="at which these are shown photos")
    parser.add_argument("--workers", type=int, default=1, help="processes to count in")
    return parser


@torch.no_grad()
def main() -> None:
    options = make_parser().parse_args()
    names = named(options.detectors)
    dataset = InstanceEdgeDataset(
        "coco_instances", ann_file=ANNOTATIONS, data_root=str(options.data_root)
    )
    photos = [Path(dataset.get_data_info(index)["img_path"]) for index in range(len(dataset))]
    parts = split(photos, options.data_root / "images", options.calibrate_on)
    given = [Path(folder) for folder in names.values() if folder]
    check_outputs(folders=[options.out], read=[options.data_root, *given])
    folders = {name: EdgeFolder(folder) for name, folder in names.items() if folder}
    for folder in folders.values():  # before anything takes long
        require_maps(folder, photos, options.data_root / "images")
    found = {}
    for name in names:
        if name not in folders:
            folders[name] = detect(name, options)
            require_maps(folders[name], photos, options.data_root / "images")
        thinned = not names[name] and is_thinned(name)
        found[name] = measure(name, folders[name], dataset, parts, thinned, options)
    tables = {
        part: {name: one.scores(numbers) for name, one in found.items()}
        for part, numbers in parts.items()
    }
    text = "\n\n".join(table(part, parts[part], rows) for part, rows in tables.items())
    calibration = {name: one.calibration for name, one in found.items()}
    root = options.data_root / "images"
    images = {
        part: [photos[number].relative_to(root).as_posix() for number in numbers]
        for part, numbers in parts.items()
    }
    write_json(
        options.out / "scores.json",
        {"scores": tables, "calibration": calibration, "images": images},
    )
    write_atomically(options.out / "scores.md", f"{text}\n".encode())
    print(text)


def named(detectors: Sequence[str]) -> dict[str, str]:
    """The folder of maps of each detector by name; empty for those to compute.

    Raises:
        ValueError: if one is unknown, or two have one name.
    """
    found: dict[str, str] = {}
    for item in detectors:
        name, is_folder, folder = item.partition("=")
        if name in found:
            raise ValueError(f"two detectors are called {name!r}")
        if not (folder if is_folder else name in GRADIENTS + TRACE):
            known = ", ".join(GRADIENTS + TRACE)
            raise ValueError(f"a detector must be {known} or NAME=FOLDER, got {item!r}")
        if not name or name in RESERVED or Path(name).name != name:
            raise ValueError(f"a detector cannot be called {name!r}")
        found[name] = folder
    return found


def split(photos: Sequence[Path], root: Path, listed: Path | None) -> dict[str, list[int]]:
    """Numbers of the photos of each part: all, and with a list of those for calibration, two more.

    Raises:
        FileNotFoundError: if there is no such list.
        ValueError: if it cannot be read, or names none or all of the photos.
    """
    everything = list(range(len(photos)))
    if listed is None:
        return {"all": everything}
    wanted = set(listed_names(listed))
    chosen = [
        number
        for number, path in enumerate(photos)
        if path.relative_to(root).as_posix() in wanted or path.name in wanted
    ]
    if not chosen or len(chosen) == len(photos):
        which = "all" if chosen else "none"
        raise ValueError(f"{listed}: names {which} of the {len(photos)} photos in {root}")
    return {
        "test": [number for number in everything if number not in set(chosen)],
        "validation": chosen,
        "all": everything,
    }


def listed_names(path: Path) -> list[str]:
    """File names of photos in a list; see ``--calibrate-on``.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, or has no such column.
    """
    if path.suffix == ".json":
        images = CocoFile.read(path).require("images").images()
        return [image.file_name for image in images.values()]
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a list of names: {error}") from error
    if path.suffix != ".csv":
        return [line.strip() for line in text.splitlines() if line.strip()]
    rows = list(csv.DictReader(text.splitlines()))
    column = next((one for one in ("file", "file_name") if rows and one in rows[0]), None)
    if column is None:
        raise ValueError(f"{path}: has no column file or file_name")
    return [row[column] for row in rows]


def config_of(name: str, model: str | None, size: int | None) -> Config:
    """The config of a detector: of gradients those that are published for photos."""
    if name in GRADIENTS:
        return Config.fromfile(CONFIGS / f"{name}_coco-photos.py")
    return model_config(model, name, options={"size": size} if size else {})


def is_thinned(name: str) -> bool:
    """Whether a detector thins its maps by itself, so that they are scored as they are."""
    return name in GRADIENTS and not config_of(name, None, None).test_evaluator.get(
        "suppress", True
    )


def detect(name: str, options: argparse.Namespace) -> EdgeFolder:
    """Write the edges of a detector that are missing.

    Raises:
        ValueError: if the folder holds those of another model, or a photo cannot be read.
    """
    model = EdgeModel(config_of(name, options.model, options.size).model, name=name)
    sources = expand_inputs(
        [options.data_root / ANNOTATIONS], root=str(options.data_root / "images")
    )
    out = options.out / name
    done = run_folder(
        ImagePredictions(model), sources, out, settings=model.settings(), save=["npz"]
    )
    if done.failed:
        photo, reason = next(iter(done.failed.items()))
        raise ValueError(f"{name}: no edges of {photo}: {reason}")
    return EdgeFolder(str(out))


def measure(
    name: str,
    folder: EdgeFolder,
    dataset: Any,
    parts: dict[str, list[int]],
    thinned: bool,
    options: argparse.Namespace,
) -> Found:
    """Count a detector's edges on all photos; calibrate and write them anew if that is wanted."""
    evidence = []
    settings = CountingSettings(suppress=not thinned)
    with CountingPool(settings, workers=options.workers) as pool:
        for index in watched(range(len(dataset)), label=f"score {name}"):
            item = dataset[index]
            evidence.append(evidence_of(folder, item))
            sample = item["data_samples"]
            pool.submit(sample.pred_edges.numpy(), sample.gt_edges, name=str(sample.img_path))
        counts = pool.results()
    if "validation" not in parts:
        return Found(counts, evidence, None)
    values, true = joined(evidence[photo] for photo in parts["validation"])
    calibration = fit_calibration([values], [true])
    calibrate_maps(folder.maps.folder, options.out / "calibrated" / name, *calibration)
    return Found(counts, evidence, calibration)


def table(part: str, numbers: Sequence[int], rows: dict[str, Scores]) -> str:
    """A part's scores as Markdown."""
    lines = [[f"{part}, {len(numbers)} photos", *COLUMNS], ["---"] * (len(COLUMNS) + 1)]
    for name, row in rows.items():
        lines.append([name, *(f"{row[one]:.3f}" if one in row else "-" for one in COLUMNS)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(run_command(main))
