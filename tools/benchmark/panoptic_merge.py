"""What the end of a run of panoptic labels takes: records of images become the dataset's files.

In processes of their own: streamed as now, and by the plain way that holds all records at once.
Both must write the same bytes.

    python tools/benchmark/panoptic_merge.py --images 40000 --segments 10
"""

import json
import resource
import shutil
import subprocess
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trace_mm.commands.command_line import Parser, run_command

if TYPE_CHECKING:
    from trace_mm.jobs.panoptic import PanopticJob

# Nothing large is imported here: a process begins with the peak of the one that started it.
SIZE = (480, 640)
DIFFERENT = 50  # images, of which the others are copies
STUFF = 3  # segments of an image
WAYS = ("nothing", "streamed", "whole")
FILES = ("instances.json", "panoptic.json")


@dataclass(frozen=True)
class Cost:
    """What a process took.

    Attributes:
        seconds: of wall time, without imports.
        memory: its peak, in MB of 2^20 bytes.
    """

    seconds: float
    memory: float


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=40000)
    parser.add_argument("--segments", type=int, default=10, help="of an image, 3 of them stuff")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/panoptic_merge"))
    parser.add_argument("--way", choices=["records", *WAYS], help="of a process that this starts")
    return parser


def main() -> int:
    """Run the benchmark; the exit status is 0 if both ways write the same."""
    options = make_parser().parse_args()
    if options.way is not None:
        print(json.dumps(asdict(measured(options.way, options))))
        return 0
    shutil.rmtree(options.work_dir, ignore_errors=True)
    in_a_process("records", options)
    size = (options.work_dir / "streamed/manifest.jsonl").stat().st_size / 2**20
    print(f"{options.images} images of {options.segments} segments, {size:.0f} MB of records")
    costs = {way: in_a_process(way, options) for way in WAYS}
    print(f"{'way':10} {'seconds':>8} {'peak MB':>8} {'of whole':>8}")
    for way, cost in costs.items():
        share = cost.memory / costs["whole"].memory
        print(f"{way:10} {cost.seconds:8.1f} {cost.memory:8.0f} {share:8.2f}")
    same = all(
        (options.work_dir / "streamed" / name).read_bytes()
        == (options.work_dir / "whole" / name).read_bytes()
        for name in FILES
    )
    print("the files are the same" if same else "THE FILES DIFFER")
    shutil.rmtree(options.work_dir)
    return 0 if same else 1


def in_a_process(way: str, options: Any) -> Cost:
    """What a way costs."""
    command = [sys.executable, __file__, "--way", way, "--work-dir", str(options.work_dir)]
    command += ["--images", str(options.images), "--segments", str(options.segments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return Cost(**json.loads(done.stdout))


def measured(way: str, options: Any) -> Cost:
    """Do it here, and see what it costs."""
    job = make_job(options.work_dir, options.images)
    ways: dict[str, Callable[[], object]] = {
        "records": lambda: write_records(job, options.segments),
        "nothing": lambda: None,
        "streamed": lambda: streamed(job),
        "whole": lambda: whole(job, options.work_dir / "whole"),
    }
    start = time.perf_counter()
    ways[way]()
    seconds = time.perf_counter() - start
    return Cost(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)


def make_job(work_dir: Path, images: int) -> "PanopticJob":
    """A run of so many images; there are none but in its records."""
    from trace_mm.files import write_atomically
    from trace_mm.files.png import encode_png
    from trace_mm.jobs.panoptic import PanopticJob
    from trace_mm.jobs.panoptic_inputs import PanopticInputs
    from trace_mm.panoptic import PanopticClasses, PanopticLabeler, SemanticMaps
    from trace_mm.runs.packed import Keys, PackedStrings

    names = Keys(f"{number:012d}.jpg" for number in range(images))
    write_atomically(work_dir / "maps/map.png", encode_png(pattern(0, 1).astype("uint8")))
    classes = PanopticClasses.create(["box", "disc"], ["background", "sky", "ground"])
    semantic = SemanticMaps(work_dir / "maps", classes)
    maps = PackedStrings("map.png" for _ in names)
    ids = array("q", range(1, images + 1))
    inputs = PanopticInputs(work_dir / "images", names, semantic, maps, ids)
    return PanopticJob(inputs, work_dir / "streamed", None, PanopticLabeler())


def pattern(number: int, things: int) -> Any:
    """Segment ids (H, W): discs on bands, in places of their own."""
    import numpy as np

    height, width = SIZE
    rows, columns = np.mgrid[:height, :width]
    ids = (things + 1 + rows * STUFF // height).astype(np.int32)
    random = np.random.default_rng(number)
    for thing in range(things):
        center = (thing + 0.5) * width / things
        row = height * random.uniform(0.3, 0.7)
        radius = min(height / 4, width / things / 2) * random.uniform(0.6, 1)
        ids[(rows - row) ** 2 + (columns - center) ** 2 < radius**2] = thing + 1
    return ids


def write_records(job: "PanopticJob", segments: int) -> None:
    """The journal of a run that has labelled all images, and the pictures of those shown."""
    import numpy as np

    from trace_mm.files import write_atomically
    from trace_mm.files.png import encode_png
    from trace_mm.jobs.places import output_path
    from trace_mm.panoptic.annotations import segment_annotations
    from trace_mm.runs.engine import read_journal
    from trace_mm.runs.journal import JournalPart
    from trace_mm.runs.records import Record, as_json

    things = segments - STUFF
    numbers = np.array([thing % 2 for thing in range(things)] + [2, 3, 4])
    results = [
        {
            "height": SIZE[0],
            "width": SIZE[1],
            "annotations": segment_annotations(pattern(number, things), numbers, job.classes),
        }
        for number in range(DIFFERENT)
    ]
    path = job.out / "manifest.jsonl"
    path.parent.mkdir(parents=True)
    with JournalPart(path, 0, as_json(job.settings())) as part:
        for number, name in enumerate(job.keys):
            files = {output_path(folder, name): 5000 for folder in ("panoptic", "semantic")}
            state = {"size": 200000, "modified": 10**18, "semantic": f"map.png 5000 {10**18}"}
            part.add(Record(name, state, files, results[number % DIFFERENT]))
    with read_journal(job) as journal:
        journal.merge(keep_others=False)
    picture = encode_png(np.zeros((160, 3 * 213, 3), dtype=np.uint8))
    for name in job.inputs.shown(24):
        write_atomically(job.out / output_path("pictures", name), picture)


def streamed(job: "PanopticJob") -> None:
    """What the leading process of a run does at its end."""
    from trace_mm.runs.engine import read_journal

    with read_journal(job) as journal:
        job.conclude(journal)


def whole(job: "PanopticJob", out: Path) -> None:
    """The plain way, as it was before: all records at once, and each file as one text."""
    from trace_mm import __version__

    lines = (job.out / "manifest.jsonl").read_bytes().split(b"\n")[1:-1]
    records = {record["key"]: record for record in map(json.loads, lines)}
    info = {"description": "pseudo-panoptic labels by instance edges (trace_mm)"}
    info |= {"version": __version__, **job.settings()}
    info.pop("results")
    images, instances, panoptic = [], [], []
    for number, name in enumerate(sorted(records), start=1):
        result = records[name]["result"]
        size = {"height": result["height"], "width": result["width"]}
        images.append({"id": number, "file_name": name, **size})
        for entry in result["annotations"]:
            if "segmentation" in entry:
                rest = {key: value for key, value in entry.items() if key != "id"}
                instances.append({"id": len(instances) + 1, "image_id": number, **rest})
        infos = [
            {key: value for key, value in entry.items() if key != "segmentation"}
            for entry in result["annotations"]
        ]
        file = name.replace(".jpg", ".png")
        panoptic.append({"image_id": number, "file_name": file, "segments_info": infos})
    categories = job.classes.categories()
    things = [{"id": one["id"], "name": one["name"]} for one in categories if one["isthing"]]
    out.mkdir()
    for name, annotations, kinds in zip(
        FILES, (instances, panoptic), (things, categories), strict=True
    ):
        content = {"info": info, "images": images, "annotations": annotations, "categories": kinds}
        (out / name).write_bytes(json.dumps(content).encode("ascii") + b"\n")


if __name__ == "__main__":
    sys.exit(run_command(main))
