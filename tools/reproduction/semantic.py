"""Table 13: scores of open-vocabulary methods, refined by edges."""

import os
from collections.abc import Callable
from pathlib import Path

from reproduction import parts
from reproduction.experiment import Experiment, Need, Reading, Row, Setting
from reproduction.parts import Plan

_README = "configs/openvoc/README.md has the layout"
BENCHMARKS = {
    "VOC": ("voc21", "VOCdevkit/VOC2012", ("JPEGImages", "SegmentationClass"), "2 GB"),
    "Context": (
        "context59",
        "VOCdevkit/VOC2010",
        ("JPEGImages", "SegmentationClassContext"),
        "2 GB",
    ),
    "Stuff": ("coco-stuff171", "coco", ("val2017", "stuffthingmaps/val2017"), "2 GB"),
    "ADE": ("ade150", "ade/ADEChallengeData2016", ("images", "annotations"), "1 GB"),
    "City": ("cityscapes19", "cityscapes", ("leftImg8bit/val", "gtFine/val"), "2 GB"),
}
_PAPER = {
    "TTD": (61.1, 37.4, 23.7, 17.0, 27.9),
    "TTD + TRACE": (64.9, 40.3, 24.3, 18.3, 31.3),
    "Talk2DINO": (65.8, 42.4, 30.2, 22.5, 38.1),
    "Talk2DINO + TRACE": (68.4, 44.8, 32.1, 23.9, 40.2),
}


def table_13(setting: Setting) -> Experiment:
    """Open-vocabulary segmentation."""
    plan = Plan(setting)
    title = "open-vocabulary segmentation, mIoU"
    if setting.mini:
        rows = [_scenes(plan, name) for name in ("scores as they are", "+ TRACE")]
        said = "Scores are true classes worn down to 16 x 16 noisy tokens."
        return parts.experiment(plan, title, ("mIoU",), rows, said)
    rows = []
    for label, numbers in _PAPER.items():
        method, _, refined = label.lower().partition(" + ")
        ours = {
            column: Reading(_scores(plan, method, column, bool(refined)), "mIoU", 1)
            for column in BENCHMARKS
        }
        rows.append(Row(label, dict(zip(BENCHMARKS, numbers, strict=True)), ours))
    return parts.experiment(
        plan,
        title,
        tuple(BENCHMARKS),
        rows,
        "The paper does not say whether background counts. Talk2DINO's own paper has 65.8 for VOC "
        "with background (21 classes) and 42.4 for Context without (59), and so do we.",
    )


def _scores(plan: Plan, method: str, column: str, refined: bool) -> Path:
    """MIoU of a method's scores on a benchmark."""
    name, folder, holds, size = BENCHMARKS[column]
    plan.need(Need(f"{column} with class maps", folder, holds, size, _README))
    maps = f"scores/{method}_{name}"
    source = "the method's own code, saved before its argmax: a .npz (C, h, w) an image"
    plan.need(Need(f"{method}'s scores of {column}", folder, (maps,), "5 to 50 GB", source))
    edges = plan.student() if refined else None
    return _test(
        plan,
        f"{method}_{name}-{'trace' if refined else 'raw'}",
        f"{method}_trace_{name}",
        [f"data_root={plan.setting.data / folder}"],
        edges,
    )


def _scenes(plan: Plan, label: str) -> Row:
    """MIoU of simulated scores of drawn scenes."""
    root, work = plan.scenes("test", 1, 0), plan.setting.work
    scores = work / "class_scores"
    command = ["python", "tools/benchmark/score_maps.py", str(root / "images")]
    command += [str(root / "semantic"), "--edges", "none", "--tokens", "16", "--noise", "0.3"]
    out = work / "scores" / "simulated.json"
    plan.step("class-scores", [*command, "--write", str(scores), "--out", str(out)], out)
    refined = label.startswith("+")
    where = os.path.relpath(scores, root)
    options = [f"data_root={root}", f"test_dataloader.dataset.data_prefix.score_path={where}"]
    name = f"semantic-{'trace' if refined else 'raw'}"
    edges = parts.MINI_STUDENT if refined else None
    found = _test(plan, name, "scores_trace_scenes", options, edges)
    return Row(label, {}, {"mIoU": Reading(found, "mIoU", 1)})


def _test(plan: Plan, name: str, config: str, options: list[str], edges: str | None) -> Path:
    work = plan.setting.work
    out = work / "scores" / f"{name}.json"
    command = ["trace-mm", "test", config, "--out", str(out)]
    command += ["--work-dir", str(work / "logs" / name)]
    more = ["model.edges=None"] if edges is None else []
    if edges is not None:
        command += ["--edges-from", edges]
        changes = {**plan.edge_size("model.edges."), **plan.threshold(edges)}
        more = [f"{key}={value}" for key, value in changes.items()]
    command += ["--cfg-options", "test_dataloader.num_workers=0", *options, *more]
    return plan.step(f"scores-{name}", command, out)


EXPERIMENTS: dict[str, Callable[[Setting], Experiment]] = {"13": table_13}
