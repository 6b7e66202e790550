"""Tables 14 and 15: satellites and microscopy, where objects are small; and what tiles mend."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from reproduction import needs, parts
from reproduction.experiment import Experiment, Need, Reading, Row, Setting
from reproduction.panoptic import scene_labels
from reproduction.parts import Benchmark, Plan

_SATELLITES = (
    Benchmark("hrsid", "HRSID", needs.HRSID),
    Benchmark("isaid", "iSAID", needs.ISAID),
)
_CELLS = (
    Benchmark("monuseg", "MoNuSeg", needs.MONUSEG),
    Benchmark("tnbc", "TNBC", needs.TNBC),
)
_MASKS = {
    "Mask R-CNN": ("mask-rcnn", ".json", "a detector of these classes: a COCO result file"),
    "SSA": ("ssa", "", "the code of its authors: a map of instances an image"),
    "COIN": ("coin", "", "the code of its authors: a map of instances an image"),
}
TILES = {"model.edges.object_size": "auto"}
"""Tiles that show the model objects of a size that it can tell apart."""
MINI_TILES = {"model.edges.object_size": 12}
"""In a mini run: "auto" finds no usual size in scenes, and would read them whole."""
GRID = ("--grid", "3", "--size", "64")
"""Images of a mini run: 3 x 3 small scenes side by side, so that objects are small."""
_TILES_ROW = "Rows with tiles are not in the paper: images are read at a scale where objects cover "
_TILES_ROW += "6 tokens. docs/results.md has what tiles and adaptation do for nuclei."


def table_14(setting: Setting) -> Experiment:
    """Satellites, AP by class."""
    title, key = "limits: satellites, AP by class", ("AP", "class_AP", 100.0)
    if setting.mini:
        return _mini(setting, title, key, {"test_evaluator.classes": True}, ("true masks",))
    paper = {"Mask R-CNN": (65.4, 25.6), "Mask R-CNN + TRACE": (50.3, 20.2)}
    said = "The paper's text says that AP falls by 5.1 on HRSID; its table from 65.4 to 50.3."
    test = "iSAID's test set has no public annotations: its val set is scored."
    return _full(setting, title, paper, _SATELLITES, key[1:], said, test)


def table_15(setting: Setting) -> Experiment:
    """Microscopy, PQ of each image."""
    title, key = "limits: microscopy, PQ of each image", ("PQ", "image_PQ", 1.0)
    if setting.mini:
        masks = ("connected parts", "true masks")
        return _mini(setting, title, key, {"test_evaluator.image_pq": True}, masks)
    paper = {
        "SSA": (0.185, 0.253),
        "SSA + TRACE": (0.148, 0.209),
        "COIN": (0.536, 0.540),
        "COIN + TRACE": (0.439, 0.426),
    }
    return _full(setting, title, paper, _CELLS, key[1:])


def _full(
    setting: Setting,
    title: str,
    paper: Mapping[str, tuple[float, ...]],
    benchmarks: tuple[Benchmark, ...],
    key: tuple[str, float],
    *choices: str,
) -> Experiment:
    """Methods on benchmarks: as they are, refined, and refined by edges of tiles."""
    plan, rows = Plan(setting), []
    columns = [one.title for one in benchmarks]
    for label, numbers in paper.items():
        method, _, refined = label.partition(" + ")
        kinds = {label: {}, f"{label}, tiles": TILES} if refined else {label: {}}
        for row, options in kinds.items():
            edges = plan.student() if refined else None
            name = "tiles" if options else "trace" if refined else "raw"
            ours = {
                one.title: Reading(_scored(plan, name, method, one, edges, options), *key)
                for one in benchmarks
            }
            known = {} if options else dict(zip(columns, numbers, strict=True))
            rows.append(Row(row, known, ours))
    return parts.experiment(plan, title, tuple(columns), rows, *choices, _TILES_ROW)


def _scored(
    plan: Plan,
    name: str,
    method: str,
    benchmark: Benchmark,
    edges: str | None,
    options: Mapping[str, object],
) -> Path:
    """Scores of a method's masks on a benchmark, which are where its config has them."""
    short, suffix, source = _MASKS[method]
    root, made = plan.root(benchmark), f"masks/{short}_{benchmark.name}{suffix}"
    folder = root.relative_to(plan.setting.data)
    title = f"{method}'s masks of {benchmark.title}"
    plan.need(Need(title, str(folder), (made,), "0.1 GB", source))
    config = f"{short}_trace_{benchmark.name}"
    return plan.refined_scores(f"{short}-{name}-{benchmark.name}", config, root, edges, options)


def _mini(
    setting: Setting,
    title: str,
    key: tuple[str, str, float],
    evaluator: Mapping[str, object],
    masks: tuple[str, ...],
) -> Experiment:
    """Scenes whose objects are small; true masks stand for a detector that was trained well."""
    plan, rows = Plan(setting), []
    column, number, scale = key
    root = plan.scenes("small", 1, 0, *GRID)
    sources = {"true masks": root / "instances.json"}
    if "connected parts" in masks:
        labels = scene_labels(plan, root, "small", "none")
        sources["connected parts"] = labels / "instances.json"
    kinds: dict[str, tuple[str | None, Mapping[str, object]]] = {
        "": (None, {}),
        " + TRACE": (plan.student(), {}),
        " + TRACE, tiles": (plan.student(), MINI_TILES),
    }
    for which in masks:
        for what, (edges, options) in kinds.items():
            label = f"{which}{what}"
            name = f"small-{column}-{label}".lower().replace(" + ", "-").replace(", ", "-")
            changes = {
                "test_dataloader.dataset.masks.path": os.path.relpath(sources[which], root),
                **evaluator,
                **options,
            }
            scores = plan.refined_scores(
                name.replace(" ", "-"), "promerge_trace_scenes", root, edges, changes
            )
            rows.append(Row(label, {}, {column: Reading(scores, number, scale)}))
    said = "Images are 3 x 3 small scenes side by side. True masks are a detector without a fault."
    return parts.experiment(plan, title, (column,), rows, said, _TILES_ROW)


EXPERIMENTS: dict[str, Callable[[Setting], Experiment]] = {"14": table_14, "15": table_15}
