"""The part of a COCO instances file whose images a list names, or the part that it does not name.

So the photos that choices were made on and those of the test get a file each.
"""

import json
import sys
from pathlib import Path, PurePosixPath

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.files import check_outputs, write_atomically
from trace_mm.files.json_file import read_json


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--annotations", required=True, metavar="FILE", help="instance JSON file")
    chosen = parser.add_mutually_exclusive_group()
    help_ = "text or CSV whose lines begin with the names of image files; a folder: those in it"
    chosen.add_argument("--names", type=Path, metavar="LIST", help=help_)
    chosen.add_argument("--all-but", type=Path, metavar="LIST", help="likewise, to leave out")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE")
    return parser


def main() -> None:
    parser = make_parser()
    options = parser.parse_args()
    source: Path | None = options.names or options.all_but
    if source is None:
        parser.error("name the images: --names LIST or --all-but LIST")
    check_outputs(files=[options.out], read=[options.annotations, source])
    names = listed(source)
    content = read_json(Path(options.annotations))
    images = [
        image
        for image in content["images"]
        if (PurePosixPath(image["file_name"]).name in names) == (options.names is not None)
    ]
    if not images:
        raise ValueError(f"{source}: leaves no image of {options.annotations}")
    kept = {image["id"] for image in images}
    annotations = [note for note in content["annotations"] if note["image_id"] in kept]
    found = {**content, "images": images, "annotations": annotations}
    write_atomically(options.out, json.dumps(found).encode("ascii"))
    print(f"{options.out}: {len(images)} of {len(content['images'])} images")


def listed(source: Path) -> set[str]:
    """Names of image files, without folders.

    Raises:
        FileNotFoundError: if there is no such list.
    """
    if source.is_dir():
        return {path.name for path in source.iterdir()}
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such list of images")
    lines = source.read_text(encoding="utf-8").splitlines()
    return {PurePosixPath(line.partition(",")[0].strip()).name for line in lines if line.strip()}


if __name__ == "__main__":
    sys.exit(run_command(main))
