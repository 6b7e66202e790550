"""Table 1b: detectors trained on masks that nobody drew, as they are and refined."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from reproduction import needs, parts
from reproduction.experiment import Experiment, Reading, Row, Setting
from reproduction.parts import Plan

_COLUMNS = (("AP", "AP"), ("AR100", "AR100"))
_BENCHMARKS = (parts.VOC_2012, parts.COCO_2014, parts.COCO_2017)
_PAPER: Mapping[str, tuple[float | None, ...]] = {
    "CutLER": (11.2, 34.2, 8.9, 25.1, 8.7, 24.9),
    "CutLER + CutS3D": (None, None, 10.9, None, 10.7, None),
    "CutLER + TRACE": (14.8, 45.3, 13.1, 34.6, 12.8, 33.9),
    "ProMerge+": (11.1, 33.1, 9.0, 25.3, 8.9, 25.1),
    "ProMerge+ + TRACE": (15.0, 43.8, 13.3, 35.1, 13.0, 25.8),
}
GENERATORS = {"CutLER": "maskcut", "ProMerge+": "promerge"}
"""Whose masks a method's detector is trained on."""
ROUNDS = 2
"""Of self-training."""


@dataclass(frozen=True)
class Schedule:
    """How a detector is trained.

    Attributes:
        first: config of its training on masks.
        iterations: of that.
        again: config of a round of self-training.
        iterations_again: of that.
        options: settings of both.
    """

    first: str
    iterations: int
    again: str
    iterations_again: int
    options: tuple[str, ...]


FULL = Schedule(
    "cascade-mask-rcnn_r50_fpn_droploss_8xb2-160k_imagenet",
    160000,
    "cascade-mask-rcnn_r50_fpn_self-train_8xb2-80k_imagenet",
    80000,
    ("train_dataloader.batch_size=16",),  # eight GPUs' batch on one
)


def table_1b(setting: Setting) -> Experiment:
    """Unsupervised instance segmentation with a detector."""
    return _mini(setting) if setting.mini else _full(setting)


def _full(setting: Setting) -> Experiment:
    plan, rows = Plan(setting), []
    columns = [f"{name}, {one.title}" for one in _BENCHMARKS for name, _ in _COLUMNS]
    for label, numbers in _PAPER.items():
        method, _, addition = label.partition(" + ")
        ours: dict[str, Reading] = {}
        if addition != "CutS3D":
            generator = GENERATORS[method]
            images, labels = _imagenet_masks(plan, generator, bool(addition))
            name = f"{generator}-{'trace' if addition else 'raw'}"
            checkpoint = _self_trained(plan, name, FULL, images, labels)
            for one in _BENCHMARKS:
                options = [f"test_set={one.name}", f"data_root={plan.root(one)}"]
                scores = _tested(plan, f"{name}-{one.name}", FULL.again, checkpoint, options)
                keys = [(f"{column}, {one.title}", key) for column, key in _COLUMNS]
                ours |= parts.mask_readings(scores, *keys)
        known = {column: value for column, value in zip(columns, numbers, strict=True) if value}
        rows.append(Row(label, known, ours))
    return parts.experiment(
        plan,
        "fine-tuned unsupervised instance segmentation",
        tuple(columns),
        rows,
        "The paper does not say whether TRACE refines the masks that a detector is trained on, or "
        "those that it finds: here, the former. configs/uis/cutler-test-time_trace_* do the other.",
        "Detectors are Cascade Mask R-CNN with DropLoss and copy-paste, then two rounds of "
        "self-training. CutS3D's row is the paper's: its code is not ours.",
    )


def _imagenet_masks(plan: Plan, generator: str, refined: bool) -> tuple[Path, Path]:
    """ImageNet's images, and the file of a generator's masks of them, as they are or refined."""
    plan.need(needs.IMAGENET)
    images = plan.setting.data / needs.IMAGENET.folder
    backbone = "timm:vit_base_patch8_224.dino"
    labels = _generated(plan, generator, f"{generator}_imagenet", images, backbone)
    if not refined:
        return images, labels
    options = ["--model", plan.student(), "--threshold", str(parts.UNCALIBRATED)]
    return images, _refined(plan, f"{generator}-trace_imagenet", images, labels, options)


def _generated(
    plan: Plan, generator: str, name: str, images: Path, backbone: str, *more: str
) -> Path:
    """Masks of a folder of images by one of our generators."""
    out = plan.setting.work / "masks" / f"{name}.json"
    command = ["python", "projects/mask_generators/generate.py", generator, str(images)]
    command += ["--out", str(out), "--backbone", backbone, *more, *plan.shown()]
    return plan.step(f"masks-{name}", [*command, *plan.device()], out)


def _refined(plan: Plan, name: str, images: Path, masks: Path, options: list[str]) -> Path:
    out = plan.setting.work / "masks" / f"{name}.json"
    command = ["trace-mm", "refine", "--masks", str(masks), "--images", str(images)]
    command += ["--out", str(out), *options, *plan.shown(), *plan.device()]
    return plan.step(f"masks-{name}", command, out)


def _trained(plan: Plan, name: str, schedule: Schedule, images: Path, labels: Path) -> Path:
    """A detector trained on masks; its last checkpoint."""
    work = plan.setting.work / "trainings" / f"detector-{name}"
    command = ["trace-mm", "train", schedule.first, "--resume", "--work-dir", str(work)]
    command += ["--cfg-options", f"images={images}", f"labels={labels}", *schedule.options]
    if plan.setting.mini:
        command += [f"max_iters={schedule.iterations}"]
        command += [f"train_cfg.max_iters={schedule.iterations}"]
    made = work / f"iter_{schedule.iterations}.pth"
    return plan.step(f"train-detector-{name}", command, made)


def _self_trained(plan: Plan, name: str, schedule: Schedule, images: Path, labels: Path) -> Path:
    """The same after rounds of self-training; its last checkpoint."""
    checkpoint = _trained(plan, name, schedule, images, labels)
    work = plan.setting.work / "trainings" / f"self-train-{name}"
    command = ["python", "tools/self_train.py", schedule.again, str(checkpoint)]
    command += ["--images", str(images), "--labels", str(labels), "--work-dir", str(work)]
    command += ["--rounds", str(ROUNDS), "--cfg-options", *schedule.options]
    if plan.setting.mini:
        command += [f"max_iters={schedule.iterations_again}"]
        command += [f"train_cfg.max_iters={schedule.iterations_again}"]
    made = work / f"round{ROUNDS}" / f"iter_{schedule.iterations_again}.pth"
    return plan.step(f"train-self-{name}", command, made)


def _tested(plan: Plan, name: str, config: str, checkpoint: Path, options: list[str]) -> Path:
    out = plan.setting.work / "scores" / f"detector-{name}.json"
    command = ["trace-mm", "test", config, str(checkpoint), "--out", str(out)]
    command += ["--work-dir", str(plan.setting.work / "logs" / f"detector-{name}")]
    return plan.step(f"scores-detector-{name}", [*command, "--cfg-options", *options], out)


def _mini(setting: Setting) -> Experiment:
    """The masks that are learned from; with mmdet also detectors trained on them."""
    plan = Plan(setting)
    root = plan.scenes("train", 0, 0)
    images, truth = root / "images", root / "instances.json"
    ids = ("--ids", str(truth))
    raw = _generated(plan, "maskcut", "maskcut_scenes-train", images, "trace-tiny", *ids)
    options = ["--model", parts.MINI_STUDENT, "--preset", "scenes"]
    refined = _refined(plan, "maskcut-trace_scenes-train", images, raw, options)
    learned = {"MaskCut": raw, "MaskCut + TRACE": refined}
    rows = []
    for label, masks in learned.items():
        out = setting.work / "scores" / f"{masks.stem}.json"
        score = ["trace-mm", "score", str(masks), str(truth), "--out", str(out)]
        plan.step(f"scores-{masks.stem}", score, out)
        rows.append(Row(f"masks learned from: {label}", {}, parts.mask_readings(out, *_COLUMNS)))
    said = "Without MMDetection, mini runs score the masks and train no detector."
    if find_spec("mmdet") is not None:
        said = "Mask R-CNN has the frozen shipped diffusion model as its backbone."
        rows += _mini_detectors(plan, images, learned)
    return parts.experiment(
        plan, "fine-tuned unsupervised instance segmentation", ("AP", "AR100"), rows, said
    )


def _mini_detectors(plan: Plan, images: Path, learned: Mapping[str, Path]) -> list[Row]:
    """Scores on test scenes of a small Mask R-CNN, and of the same after self-training."""
    schedule = Schedule(
        "mask-rcnn_trace-tiny_droploss_1xb8-600_scenes",
        plan.setting.iterations,
        "mask-rcnn_trace-tiny_self-train_1xb8-300_scenes",
        max(plan.setting.iterations // 2, 1),
        (),
    )
    root, rows = plan.scenes("test", 1, 0), []
    for what, train in (("", _trained), (", self-trained", _self_trained)):
        for label, labels in learned.items():
            checkpoint = train(plan, labels.stem, schedule, images, labels)
            name = f"{labels.stem}{what.replace(', ', '-')}"
            options = [f"data_root={root}"]
            scores = _tested(plan, name, schedule.first, checkpoint, options)
            paper = _PAPER[f"CutLER{label.removeprefix('MaskCut')}"][2:4]
            columns = zip(_COLUMNS, paper, strict=True) if what else ()
            known = {name: value for (name, _), value in columns if value}
            ours = parts.mask_readings(scores, *_COLUMNS)
            rows.append(Row(f"Mask R-CNN: {label}{what}", known, ours))
    return rows


EXPERIMENTS: dict[str, Callable[[Setting], Experiment]] = {"1b": table_1b}
