"""Figure 9: seeds for SAM, from edges and from detectors."""

from collections.abc import Callable
from pathlib import Path

from reproduction import needs, parts
from reproduction.experiment import Experiment, Need, Reading, Row, Setting
from reproduction.panoptic import COLUMNS, DATA, panoptic_scores, readings, scene_label_scores
from reproduction.parts import Plan

_SEGMENT = "projects/sam_seeds/segment.py"
IMAGES = {"voc2012": "JPEGImages", "coco2017": "val2017"}
TRUTH = {"voc2012": "panoptic_val/panoptic.json", "coco2017": "annotations/panoptic_val2017.json"}
RIVALS = ("Ferret", "APE")
"""Detectors whose boxes a person brings."""


def figure_9(setting: Setting) -> Experiment:
    """Masks of SAM, asked by edges or by boxes of detectors."""
    return _mini(setting) if setting.mini else _full(setting)


def _full(setting: Setting) -> Experiment:
    plan = Plan(setting)
    plan.need(needs.SAM_WEIGHTS)
    plan.need(needs.GROUNDING_DINO_WEIGHTS)
    rows: dict[str, dict[str, Reading]] = {}
    for data, one in DATA.items():
        for label, scores in _scores(plan, data).items():
            rows.setdefault(label, {}).update({} if scores is None else readings(scores, one.title))
    return parts.experiment(
        plan,
        "seeds for SAM",
        tuple(f"{column}, {one.title}" for one in DATA.values() for column in COLUMNS),
        [Row(label, {}, ours) for label, ours in rows.items()],
        "The paper's (b) is a chart without numbers.",
        "SAM is ViT-H, asked by boxes. Stuff is what DHR's maps say. Grounding DINO is asked for "
        "the classes in an image's map, as the paper's tags.",
        "Ferret's and APE's boxes are read from data/boxes/<name>_<data>.json, a list of COCO "
        "results; a rival without such a file has no numbers of ours.",
    )


def _scores(plan: Plan, data: str) -> dict[str, Path | None]:
    """The file of scores of each row; None for boxes that somebody has to bring and has not."""
    source = DATA[data]
    plan.need(source.need)
    root, maps = plan.setting.data / source.need.folder, "semantic/dhr_val"
    where = "the code of its authors; a PNG an image of class numbers, 0 is background"
    plan.need(Need(f"DHR's maps of {source.title} val", source.need.folder, (maps,), "1 GB", where))
    read = ["--images", str(root / IMAGES[data]), "--semantic", str(root / maps)]
    read += ["--classes", data, "--annotations", str(root / TRUTH[data])]
    edges = ["--model", plan.student(source.trained_on), *plan.shown()]
    labels = [*edges, "--threshold", str(parts.UNCALIBRATED)]
    sam = ["python", _SEGMENT]
    asked = {
        "DHR, connected parts": ["trace-mm", "panoptic", "--no-edges"],
        "DHR + TRACE": ["trace-mm", "panoptic", *labels],
        "DHR + TRACE + SAM": [*sam, *labels],
        "TRACE's segments + SAM": [*sam, "--seeds", "segments", *edges],
        "Grounding DINO + SAM": [*sam, "--seeds", "grounding-dino"],
    }
    found: dict[str, Path | None] = {
        label: _made(plan, f"{data}-{label}", [*command, *read], root / TRUTH[data])
        for label, command in asked.items()
    }
    for rival in RIVALS:
        boxes = plan.setting.data / "boxes" / f"{rival.lower()}_{data}.json"
        command = [*sam, "--seeds", "boxes", "--boxes", str(boxes), *read]
        command += ["--box-images", str(root / TRUTH[data])]
        label, truth = f"{rival} + SAM", root / TRUTH[data]
        found[label] = _made(plan, f"{data}-{label}", command, truth) if boxes.is_file() else None
    return found


def _made(plan: Plan, label: str, command: list[str], truth: Path) -> Path:
    """PQ of what a command makes of seeds; the file of its scores."""
    kept = (letter if letter.isalnum() else " " for letter in label.lower())
    name = f"seeds-{'-'.join(''.join(kept).split())}"
    out = plan.setting.work / "seeds" / name
    plan.step(name, [*command, "--out", str(out), *plan.device()], out / "panoptic.json")
    return panoptic_scores(plan, name, out / "panoptic.json", truth)


def _mini(setting: Setting) -> Experiment:
    """Scenes, and a stand-in for SAM that grows a prompt inside true edges."""
    plan = Plan(setting)
    root = plan.scenes("test", 1, 0)
    edges = setting.work / "edges" / "scenes"
    command = ["trace-mm", "edges", str(root / "images"), "--model", parts.MINI_STUDENT]
    command += ["--out", str(edges), *plan.shown(), *plan.device()]
    plan.step("edges-scenes", command, edges / "edges")
    read = ["--images", str(root / "images"), "--semantic", str(root / "semantic")]
    read += ["--classes", str(root / "classes.json"), "--stand-in", str(root / "panoptic")]
    by_edges = ["--edges", str(edges / "edges")]
    labels = [*by_edges, "--preset", "scenes"]
    boxes = ["--boxes", str(root / "instances.json"), "--box-images", str(root / "instances.json")]
    asked = {
        "connected parts, box": ["--no-edges"],
        "labels, box": labels,
        "labels, points": [*labels, "--prompt", "points"],
        "labels, mask": [*labels, "--prompt", "mask"],
        "components, box": [*by_edges, "--seeds", "components"],
        "segments of edges, box": [*by_edges, "--seeds", "segments"],
        "true boxes, box": ["--seeds", "boxes", *boxes],
    }
    rows = []
    for label, name in (("connected parts", "none"), ("labels", parts.MINI_STUDENT)):
        scores = scene_label_scores(plan, root, name)
        rows.append(Row(f"{label}, no SAM", {}, readings(scores)))
    for label, options in asked.items():
        made = ["python", _SEGMENT, *read, *options]
        rows.append(Row(label, {}, readings(_made(plan, label, made, root / "panoptic.json"))))
    return parts.experiment(
        plan,
        "seeds for SAM",
        tuple(COLUMNS),
        rows,
        "SAM's stand-in grows a prompt to the region of the truth that it means: what is wrong is "
        "the seeds' fault. True boxes are a detector without a fault.",
    )


EXPERIMENTS: dict[str, Callable[[Setting], Experiment]] = {"f9": figure_9}
