"""Turn a trained model folder into the one that the package ships: half precision and papers."""

import csv
import json
import shutil
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.files import check_outputs

LARGEST_BYTES = 12_000_000


def write_attribution(photo_list: Path, target: Path) -> None:
    """Copy the list of training photos: file, licence and source of each.

    Raises:
        ValueError: if the list lacks one of these columns; names it.
    """
    with photo_list.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    columns = ["file", "licence", "flickr_url"]
    missing = [column for column in columns if not rows or column not in rows[0]]
    if missing:
        raise ValueError(f"{photo_list} lacks the columns {missing}")
    with target.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["file", "licence", "source"], lineterminator="\n")
        writer.writeheader()
        for row in sorted(rows, key=lambda row: row["file"]):
            writer.writerow(
                {"file": row["file"], "licence": row["licence"], "source": row["flickr_url"]}
            )


def tidy(folder: Path) -> None:
    """Drop from the configs where the models lay, and let everybody read the files."""
    for path in folder.rglob("config.json"):
        config = json.loads(path.read_text())
        config.pop("_name_or_path", None)
        path.write_text(json.dumps(config, indent=2) + "\n")
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("model", type=Path, help="folder from train_unet.py")
    parser.add_argument("photo_list", type=Path, help="CSV of the training photos' licences")
    parser.add_argument("target", type=Path, help="folder to write, replaced if it exists")
    parser.add_argument("--settings", type=json.loads, default={}, help="trace.json, as JSON")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    for path in (options.model / "unet", options.model / "vae", options.photo_list):
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder")
    check_outputs(folders=[options.target], read=[options.model, options.photo_list])
    shutil.rmtree(options.target, ignore_errors=True)
    options.target.mkdir(parents=True)
    unet = UNet2DConditionModel.from_pretrained(options.model / "unet", torch_dtype=torch.float16)
    vae = AutoencoderKL.from_pretrained(options.model / "vae", torch_dtype=torch.float16)
    unet.save_pretrained(options.target / "unet")
    vae.save_pretrained(options.target / "vae")
    FlowMatchEulerDiscreteScheduler().save_pretrained(options.target / "scheduler")
    for name in ("model_index.json", "null_text.safetensors"):
        shutil.copy(options.model / name, options.target / name)
    settings = json.dumps(options.settings, indent=1)
    (options.target / "trace.json").write_text(settings + "\n")
    write_attribution(options.photo_list, options.target / "ATTRIBUTION.csv")
    shutil.copy(Path(__file__).parent / "MODEL_CARD.md", options.target / "README.md")
    tidy(options.target)
    size = sum(path.stat().st_size for path in options.target.rglob("*") if path.is_file())
    print(f"{options.target}: {size / 1e6:.2f} MB")
    if size > LARGEST_BYTES:
        raise ValueError(f"over the limit of {LARGEST_BYTES / 1e6:.0f} MB")


if __name__ == "__main__":
    sys.exit(run_command(main))
