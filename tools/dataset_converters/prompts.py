"""Prompts of images out of their annotated boxes: "A photo of 2 cats" (paper, App. E.1).

Writes the JSON file that --prompts of trace-mm edges and prompts= of a backbone read. Several
classes are joined, the most frequent first, of equally frequent ones that of the lower id: "A photo
of 3 people, 2 cats and 1 dog". Crowd regions are not counted. An image without boxes gets the empty
prompt; so do images of a folder that no file describes, where --images names it.
"""

import json
import sys
import xml.etree.ElementTree as xml
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.files import check_outputs, write_atomically
from trace_mm.files.folders import walk_images
from trace_mm.files.json_file import read_json

Boxes = Mapping[str, int]
"""How many boxes there are of each class, in the order of the classes."""

_IRREGULAR = {
    "person": "people",
    "mouse": "mice",
    "goose": "geese",
    "ox": "oxen",
    "knife": "knives",
    "wolf": "wolves",
    "loaf": "loaves",
    "scarf": "scarves",
    **{same: same for same in ("sheep", "skis", "scissors", "broccoli", "bison", "binoculars")},
}


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    help_ = "COCO instances files"
    parser.add_argument("--coco", type=Path, nargs="+", default=[], metavar="FILE", help=help_)
    help_ = "folder of VOC-like XML files, such as ImageNet's Annotations/CLS-LOC/train"
    parser.add_argument("--voc", type=Path, metavar="DIR", help=help_)
    help_ = "names of the classes in XML files: lines 'n02123045 tabby, tabby cat'; of several, the"
    parser.add_argument("--names", type=Path, metavar="FILE", help=f"{help_} first is taken")
    help_ = "folder of images that may lack boxes"
    parser.add_argument("--images", type=Path, metavar="DIR", help=help_)
    parser.add_argument("--out", required=True, type=Path, metavar="FILE")
    return parser


def main() -> None:
    """Run the command line."""
    parser = make_parser()
    options = parser.parse_args()
    if not options.coco and options.voc is None:
        parser.error("name the boxes: --coco FILE ... or --voc DIR, or both")
    if options.names is not None and options.voc is None:
        parser.error("--names is for --voc: a COCO file has its own")
    read = [*options.coco, *([] if options.names is None else [options.names])]
    check_outputs(files=[options.out], read=read)
    images: dict[str, Boxes] = {}
    for path in options.coco:
        _add(images, coco_boxes(path), path)
    if options.voc is not None:
        names = {} if options.names is None else class_names(options.names)
        _add(images, voc_boxes(options.voc, names), options.voc)
    if options.images is not None:
        for name in image_names(options.images):
            images.setdefault(name, {})
    prompts = {name: prompt_of(boxes) for name, boxes in images.items()}
    write_atomically(options.out, json.dumps(prompts, indent=1).encode("ascii"))
    different = len(set(prompts.values()))
    print(f"{options.out}: {len(prompts)} images, {different} different prompts")


def _add(images: dict[str, Boxes], found: Iterable[tuple[str, Boxes]], origin: Path) -> None:
    """Add the boxes of images to those of others.

    Raises:
        ValueError: if there are none, or of an image that is known already; names it.
    """
    count = len(images)
    for name, boxes in found:
        if name in images:
            raise ValueError(f"{origin}: {name!r} is described twice")
        images[name] = boxes
    if len(images) == count:
        raise ValueError(f"{origin}: no annotated image")


def prompt_of(boxes: Boxes) -> str:
    """The prompt of an image; empty if there are no boxes."""
    order = sorted(boxes.items(), key=lambda pair: -pair[1])  # stable
    parts = [f"{count} {name if count == 1 else plural(name)}" for name, count in order]
    if not parts:
        return ""
    last = parts.pop()
    return f"A photo of {', '.join(parts)} and {last}" if parts else f"A photo of {last}"


def plural(name: str) -> str:
    """Several of a class, by the rules of English: "wine glasses"."""
    before, space, noun = name.rpartition(" ")
    if noun in _IRREGULAR:
        return before + space + _IRREGULAR[noun]
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return f"{name}es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}s"


def coco_boxes(path: Path) -> Iterator[tuple[str, Boxes]]:
    """Name without suffix and boxes of each image of a COCO instances file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not one of instances, or two of its images have one name; names them.
    """
    content = read_json(path, "annotation file")
    try:
        classes = {one["id"]: one["name"] for one in content["categories"]}
        names = {one["id"]: _stem(one["file_name"]) for one in content["images"]}
        found: dict[int, Counter[int]] = {number: Counter() for number in names}
        for note in content["annotations"]:
            if not note.get("iscrowd"):
                found[note["image_id"]][note["category_id"]] += 1
        boxes = {
            names[number]: {classes[one]: count for one, count in sorted(counts.items())}
            for number, counts in found.items()
        }
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a COCO instances file: {error!r}") from error
    if len(boxes) < len(names):
        twice = Counter(names.values()).most_common(1)[0][0]
        raise ValueError(f"{path}: two images are called {twice!r}")
    yield from boxes.items()


def voc_boxes(folder: Path, names: Mapping[str, str]) -> Iterator[tuple[str, Boxes]]:
    """Name without suffix and boxes of each image that an XML file in a folder describes.

    Args:
        folder: searched with its subfolders.
        names: of classes, by what the files call them; others stay as they are.

    Raises:
        ValueError: if a file is no XML; names it.
    """
    for path in sorted(folder.rglob("*.xml")):
        try:
            tree = xml.parse(path)
        except xml.ParseError as error:
            raise ValueError(f"{path}: not valid XML: {error}") from error
        found = Counter(item.findtext("name", "").strip() for item in tree.iterfind("object"))
        yield path.stem, {names.get(one, one): found[one] for one in sorted(found)}


def image_names(folder: Path) -> Iterator[str]:
    """Names without suffix of the images in a folder and its subfolders.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if two images have one name; names it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of images")
    seen: set[str] = set()
    for path in walk_images(folder):
        if path.stem in seen:
            raise ValueError(f"{folder}: two images are called {path.stem!r}")
        seen.add(path.stem)
        yield path.stem


def class_names(path: Path) -> dict[str, str]:
    """Names of classes out of lines such as "n02123045 tabby, tabby cat"."""
    lines = path.read_text(encoding="utf-8").splitlines()
    parts = (line.split(maxsplit=1) for line in lines if line.strip())
    return {key: rest[0].split(",")[0].strip() for key, *rest in parts if rest}


def _stem(file_name: str) -> str:
    return PurePosixPath(file_name).stem


if __name__ == "__main__":
    sys.exit(run_command(main))
