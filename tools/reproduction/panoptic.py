"""Table 2: panoptic labels without instance labels, and Mask2Former trained on them."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from reproduction import parts
from reproduction.experiment import Experiment, Need, Reading, Row, Setting
from reproduction.parts import Plan

COLUMNS = {"PQ": "PQ", "PQ_th": "PQ_th", "PQ_st": "PQ_st", "SQ": "SQ", "RQ": "RQ"}


@dataclass(frozen=True)
class Data:
    """A data set of the table.

    Attributes:
        title: in the table.
        need: of what it consists.
        trained_on: images of the student.
        schedules: config and iterations of each backbone of Mask2Former, for a method.
    """

    title: str
    need: Need
    trained_on: str
    schedules: dict[str, tuple[str, int]]


_SWIN = "mask2former_swin-l-p4-w12-384-in21k_16xb1-lsj"
DATA = {
    "voc2012": Data(
        "VOC 2012",
        Need(
            "PASCAL VOC 2012 with train_aug and panoptic ground truth",
            "VOCdevkit/VOC2012",
            ("JPEGImages", "panoptic_val/panoptic.json"),
            "2 GB",
            "host.robots.ox.ac.uk/pascal/VOC/voc2012",
            "python tools/dataset_converters/voc2012_panoptic.py --data-root "
            "data/VOCdevkit/VOC2012 --out data/VOCdevkit/VOC2012/panoptic_val",
        ),
        "voc2012",
        {
            "ResNet-50": ("mask2former_r50_8xb2-lsj-24e_trace-{}_voc2012-panoptic", 15873),
            "Swin-L": (f"{_SWIN}-24e_trace-{{}}_voc2012-panoptic", 15873),
        },
    ),
    "coco2017": Data(
        "COCO 2017",
        Need(
            "COCO 2017 with panoptic ground truth",
            "coco",
            ("train2017", "val2017", "annotations/panoptic_val2017.json"),
            "20 GB",
            "cocodataset.org",
        ),
        "coco2014",
        {
            "ResNet-50": ("mask2former_r50_8xb2-lsj-50e_trace-{}_coco2017-panoptic", 368750),
            "Swin-L": (f"{_SWIN}-100e_trace-{{}}_coco2017-panoptic", 737500),
        },
    ),
}
_PAPER = {
    ("MARS", "ResNet-50", False): ((41.4, 39.8, 85.3, 83.0, 57.8), (11.7, 13.3, 10.2, 58.3, 11.8)),
    ("MARS", "ResNet-50", True): ((50.4, 48.5, 88.9, 86.6, 60.1), (29.5, 31.1, 28.9, 62.5, 39.3)),
    ("DHR", "ResNet-50", False): ((45.0, 43.3, 88.3, 83.3, 59.8), (18.3, 17.5, 18.1, 69.3, 14.8)),
    ("DHR", "ResNet-50", True): ((56.9, 55.2, 91.0, 88.4, 63.4), (32.8, 32.7, 32.9, 75.5, 42.5)),
    ("DHR", "Swin-L", True): ((69.8, 68.4, 96.2, 94.5, 71.2), (43.1, 42.5, 43.5, 83.8, 55.3)),
}


def table_2(setting: Setting) -> Experiment:
    """Panoptic segmentation learned from image tags."""
    return _mini(setting) if setting.mini else _full(setting)


def _full(setting: Setting) -> Experiment:
    plan, rows = Plan(setting), []
    for (method, backbone, refined), numbers in _PAPER.items():
        known: dict[str, float] = {}
        ours: dict[str, Reading] = {}
        for name, pair in zip(DATA, numbers, strict=True):
            columns = [f"{column}, {DATA[name].title}" for column in COLUMNS]
            known |= dict(zip(columns, pair, strict=True))
            scores = _trained(plan, name, method.lower(), backbone, refined)
            ours |= readings(scores, DATA[name].title)
        rows.append(Row(f"{method}{' + TRACE' if refined else ''}, {backbone}", known, ours))
    return parts.experiment(
        plan,
        "panoptic segmentation from image tags",
        tuple(f"{column}, {one.title}" for one in DATA.values() for column in COLUMNS),
        rows,
        "The paper does not say what its rows without TRACE tell apart: here, connected parts of a "
        "class are things.",
        "DHR and MARS give no stuff on COCO. For stuff, bring maps of all 133 classes.",
        "The paper's student for this table is trained on images of the same data; on COCO 2017 "
        "here on those of 2014 train.",
    )


def _trained(plan: Plan, data: str, method: str, backbone: str, refined: bool) -> Path:
    """Scores of Mask2Former, trained on a method's labels with or without edges."""
    source, work = DATA[data], plan.setting.work
    plan.need(source.need)
    maps = f"semantic/{method}"
    where = "the code of its authors; a PNG an image of class numbers, 0 is background"
    plan.need(
        Need(f"{method.upper()}'s maps of {data}", source.need.folder, (maps,), "1 GB", where)
    )
    root = plan.setting.data / source.need.folder
    name = f"{method}{'-trace' if refined else ''}_{data}"
    labels = work / "labels" / name
    command = [
        "python",
        "tools/make_pseudo_panoptic.py",
        f"configs/panoptic/{method}_trace_{data}.py",
    ]
    command += ["--out", str(labels), *plan.device()]
    if refined:
        command += ["--edges-from", plan.student(source.trained_on)]
    change = f"labeler.threshold={parts.UNCALIBRATED}" if refined else "model=None"
    command += ["--cfg-options", f"data_root={root}", change]
    plan.step(f"labels-{name}", command, labels / "panoptic.json")
    config, iterations = source.schedules[backbone]
    config = config.format(method)
    name = f"{name}-{backbone.lower()}"
    return _detector(plan, name, config, root, labels, iterations)


def _detector(
    plan: Plan, name: str, config: str, root: Path, labels: Path, iterations: int, *more: str
) -> Path:
    """Train Mask2Former on labels, and score it; the file of its scores."""
    work = plan.setting.work / "trainings" / name
    train = ["trace-mm", "train", config, "--resume", "--work-dir", str(work), "--cfg-options"]
    train += [f"data_root={root}", f"train_dataloader.dataset.labels={labels}", *more]
    checkpoint = plan.step(f"train-{name}", train, work / f"iter_{iterations}.pth")
    out = plan.setting.work / "scores" / f"{name}.json"
    test = ["trace-mm", "test", config, str(checkpoint), "--out", str(out)]
    test += ["--work-dir", str(plan.setting.work / "logs" / name), "--cfg-options"]
    return plan.step(f"scores-{name}", [*test, f"data_root={root}"], out)


def _mini(setting: Setting) -> Experiment:
    """The labels themselves, of drawn scenes; with mmdet also Mask2Former trained on them."""
    plan = Plan(setting)
    root, rows = plan.scenes("test", 1, 0), []
    for name, edges in (("components", "none"), ("TRACE", parts.MINI_STUDENT)):
        scores = scene_label_scores(plan, root, edges)
        rows.append(Row(f"labels: {name}", {}, readings(scores)))
    said = "Without MMDetection, mini runs score the labels and train no Mask2Former."
    if find_spec("mmdet") is not None:
        said = "Mask2Former has the frozen shipped diffusion model as its backbone."
        plan.scenes("val", 1, 2000)
        for name, edges in (("components", "none"), ("TRACE", parts.MINI_STUDENT)):
            labels = scene_labels(plan, plan.scenes("train", 0, 0), "train", edges)
            scores = _detector(
                *(plan, f"mask2former-{edges}", "mask2former_trace-tiny_1xb8-2k_scenes-panoptic"),
                *(root.parent, labels, setting.iterations),
                *(f"train_cfg.max_iters={setting.iterations}", "train_dataloader.num_workers=0"),
            )
            rows.append(Row(f"Mask2Former: {name}", {}, readings(scores)))
    return parts.experiment(
        plan, "panoptic segmentation from image tags", tuple(COLUMNS), rows, said
    )


def scene_labels(plan: Plan, root: Path, part: str, edges: str) -> Path:
    """Labels of scenes by the edges of a student, or by connected components."""
    work = plan.setting.work
    out = work / "labels" / f"{part}-{edges}"
    command = ["trace-mm", "panoptic", "--images", str(root / "images")]
    command += ["--semantic", str(root / "semantic"), "--classes", str(root / "classes.json")]
    command += ["--preset", "scenes", "--out", str(out), *plan.device()]
    command += ["--no-edges"] if edges == "none" else ["--model", edges, *plan.shown()]
    plan.step(f"labels-{part}-{edges}", command, out / "panoptic.json")
    return out


def scene_label_scores(plan: Plan, root: Path, edges: str) -> Path:
    """PQ of labels of test scenes by the edges of a student, or by connected components."""
    labels = scene_labels(plan, root, "test", edges)
    name = f"labels-{edges}"
    return panoptic_scores(plan, name, labels / "panoptic.json", root / "panoptic.json")


def panoptic_scores(plan: Plan, name: str, found: Path, truth: Path) -> Path:
    """PQ of a panoptic dataset; the file of its scores."""
    out = plan.setting.work / "scores" / f"{name}.json"
    score = ["trace-mm", "score", str(found), str(truth), "--out", str(out)]
    return plan.step(f"scores-{name}", score, out)


def readings(scores: Path, title: str = "") -> dict[str, Reading]:
    """PQ and its parts by column, with the title of the data if there are several."""
    suffix = f", {title}" if title else ""
    return {f"{column}{suffix}": Reading(scores, key, 1) for column, key in COLUMNS.items()}


EXPERIMENTS: dict[str, Callable[[Setting], Experiment]] = {"2": table_2}
