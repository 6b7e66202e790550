"""Tables and figures of edges: Table 6, Figures 10 and 14."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from reproduction import needs, parts
from reproduction.experiment import Experiment, Reading, Row, Setting
from reproduction.parts import Plan

EDGE_COLUMNS = {"ODS": "ods", "OIS": "ois", "clDice": "cldice"}
RIVALS = ("HED", "PiDiNet", "DiffusionEdge")
"""Detectors whose edges a person brings."""


def table_6(setting: Setting) -> Experiment:
    """Edges of several detectors against borders of panoptic segments."""
    plan = Plan(setting)
    paper = {
        "Canny": (0.129, 0.202, 0.134),
        "Sobel": (),
        "HED": (0.347, 0.443, 0.446),
        "PiDiNet": (0.362, 0.450, 0.574),
        "DiffusionEdge": (0.428, 0.485, 0.576),
        "TRACE": (0.889, 0.899, 0.826),
    }
    rows = []
    for name, numbers in paper.items():
        scores = _edge_scores(plan, name)
        ours = {}
        if scores is not None:
            ours = {column: Reading(scores, key, 1) for column, key in EDGE_COLUMNS.items()}
        known = dict(zip(EDGE_COLUMNS, numbers, strict=True)) if numbers else {}
        rows.append(Row(name, known, ours))
    return parts.experiment(
        plan,
        "instance edges of several detectors",
        tuple(EDGE_COLUMNS),
        tuple(rows),
        "Sobel is not in the paper. Rivals' edges are read from data/edges/<name>/coco2014, a PNG "
        "an image; a rival without such a folder has no numbers of ours.",
        "Panoptic maps were published for the splits of 2017 only: those of 2014 val are taken "
        "from there.",
    )


def _edge_scores(plan: Plan, name: str) -> Path | None:
    """Scores of a detector's edges; None for one that somebody has to bring and has not."""
    short = name.lower()
    if name in ("Canny", "Sobel"):
        return plan.edge_scores(short, short)
    if name == "TRACE":
        return plan.edge_scores(short, "folder", ["--edges-from", plan.student()])
    data = "scenes" if plan.setting.mini else "coco2014"
    folder = plan.setting.data / "edges" / short / data
    if not folder.is_dir():
        return None
    return plan.edge_scores(short, "folder", ["--edges", str(folder)])


def figure_10(setting: Setting) -> Experiment:
    """Masks refined by the edges of several detectors."""
    plan = Plan(setting)
    paper = {
        "Canny": 1.2,
        "Sobel": None,
        "HED": 3.7,
        "PiDiNet": 4.1,
        "DiffusionEdge": 4.3,
        "TRACE": 9.4,
    }
    (benchmark,) = plan.benchmarks(parts.VOC_2012)
    rows = [
        Row("masks as they are", {"AP": 5.0}, _refined(plan, "none", None)),
    ]
    for name, number in paper.items():
        short = name.lower()
        source: str | None = f"{short}_scenes" if setting.mini else f"{short}_coco2014"
        if name == "TRACE":
            source = plan.student()
        elif name in RIVALS:
            folder = setting.data / "edges" / short / benchmark.name
            source = str(folder) if folder.is_dir() else None
        ours = {} if source is None else _refined(plan, short, source)
        rows.append(Row(name, {} if number is None else {"AP": number}, ours))
    shared = "" if setting.mini else f", {parts.UNCALIBRATED}, since the student is not calibrated"
    return parts.experiment(
        plan,
        "masks refined by the edges of several detectors",
        ("AP", "AR100"),
        tuple(rows),
        "The paper names no data set for its 9.4 AP; its Tables 1 and 11 have that number on VOC "
        "2012, with ProMerge's masks.",
        f"All detectors share one threshold{shared}. Edges that are calibrated differently are "
        "compared at their own best one by tools/benchmark/edge_detectors.py and edge_swap.py.",
    )


def _refined(plan: Plan, name: str, source: str | None) -> dict[str, Reading]:
    (benchmark,) = plan.benchmarks(parts.VOC_2012)
    options: dict[str, object] = {}
    if source is not None and not plan.setting.mini:
        options["model.refiner.threshold"] = parts.UNCALIBRATED  # all of them, as the student
    scores = plan.mask_scores(f"swap-{name}", "promerge", benchmark, source, options)
    return parts.mask_readings(scores, ("AP", "AP"), ("AR100", "AR100"))


def figure_14(setting: Setting) -> Experiment:
    """Where t* lies, by data and by class."""
    plan = Plan(setting)
    drawn = {"a": needs.VOC_TRAIN, "b": needs.COCO_TRAIN, "c": needs.COCO_TRAIN}
    pictures, rows = [], []
    for part, data in drawn.items():
        if setting.mini and part == "b":
            continue  # there are no other scenes
        more = ["--by-class", "2"] if part == "c" else []
        out = plan.histogram(f"figure-14{part}", setting.work / f"f14{part}.png", data, *more)
        pictures.append(out)
        label = f"({part}) {'scenes' if setting.mini else data.name}"
        rows.append(Row(label, {}, {"median t*": Reading(out.with_suffix(".json"), "median", 1)}))
    made = parts.experiment(
        plan,
        "where t* lies",
        ("median t*",),
        rows,
        "One backbone a run (--backbone); the paper draws five over each other.",
        "The caption of (c) names two classes and the text four: two are drawn, the most frequent.",
    )
    return replace(made, pictures=tuple(pictures))


EXPERIMENTS: dict[str, Callable[[Setting], Experiment]] = {
    "6": table_6,
    "f10": figure_10,
    "f14": figure_14,
}
