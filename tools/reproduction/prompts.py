"""App. E.1: prompts that say how many of what an image shows, for the teacher and the student."""

from collections.abc import Callable
from pathlib import Path

from reproduction import needs, parts
from reproduction.experiment import Experiment, Reading, Row, Setting
from reproduction.parts import Plan

NO_MINI = {"e1": "the shipped trace-tiny has no text encoder, so that it can be told no prompts"}
"""Experiments without a mini run, and why."""
_STUDENT = "model.backbone.prompts"
_TEACHER = "train_dataloader.dataset.pseudo_edges.teacher.backbone.prompts"
_PREDICTION = "model.edges.backbone.prompts"


def appendix_e1(setting: Setting) -> Experiment:
    """The empty prompt against "A photo of [number] [class]", in training and for predictions.

    Raises:
        ValueError: for a mini run.
    """
    if setting.mini:
        raise ValueError(f"App. E.1 has no mini run: {NO_MINI['e1']}")
    plan, rows = Plan(setting), []
    (benchmark,) = plan.benchmarks(parts.COCO_2014)
    null, told = str(plan.paper_student()), str(_told_student(plan))
    shown = {_PREDICTION: _prompts(plan, "coco2014", needs.COCO_2014_CLASSES)}
    for label, number, name, edges, options in (
        ("ProMerge", 3.1, "backbone-none", None, {}),
        ("+ TRACE, empty prompt", 8.2, "promerge-trace", null, {}),
        ("+ TRACE, prompts", 8.3, "promerge-prompts", told, shown),
    ):
        scores = plan.mask_scores(name, "promerge", benchmark, edges, options)
        rows.append(Row(label, {"AP": number}, {"AP": Reading(scores, "AP")}))
    return parts.experiment(
        plan,
        "sensitivity to instance-aware prompts",
        ("AP",),
        rows,
        "More than half of ImageNet's images have no boxes: they are learned with the empty "
        "prompt, so that both students see the same images.",
        "A prompt names all classes of an image, the most frequent first; crowds are not counted.",
        "The photos that a student is scored on during training have prompts of their annotations.",
        "Embeddings of all different prompts are kept in the cache: 5 MB each of SD3.5.",
    )


def _told_student(plan: Plan) -> Path:
    """A student like the paper's that learns, as its teacher reads, by prompts; a checkpoint."""
    plan.need(needs.IMAGENET)
    file = _prompts(plan, "training", needs.PHOTOS, needs.IMAGENET_BOXES)
    return plan.changed_student("prompts", {_STUDENT: file, _TEACHER: file})


def _prompts(plan: Plan, name: str, annotated: needs.Need, boxes: needs.Need | None = None) -> Path:
    """A file of prompts, whose embeddings are in the cache.

    Args:
        plan: gets the steps.
        name: of the file.
        annotated: images with a COCO instances file, which it names last.
        boxes: ImageNet's, for its images too.
    """
    plan.need(annotated)
    data, out = plan.setting.data, plan.setting.work / "prompts" / f"{name}.json"
    command = ["python", "tools/dataset_converters/prompts.py", "--out", str(out)]
    command += ["--coco", str(data / annotated.folder / annotated.holds[-1])]
    if boxes is not None:
        plan.need(boxes)
        folder, names = (str(data / boxes.folder / part) for part in boxes.holds)
        command += ["--voc", folder, "--names", names]
        command += ["--images", str(data / needs.IMAGENET.folder)]
    plan.step(f"prompts-{name}", command, out)
    # On a GPU: a test or a training would embed what is missing on the processor.
    embed = ["python", "tools/cache_null_text.py", plan.setting.backbone, "--prompts", str(out)]
    embed += ["--device", plan.setting.device or "cuda"]
    return plan.step(f"embed-{name}", embed, out)


EXPERIMENTS: dict[str, Callable[[Setting], Experiment]] = {"e1": appendix_e1}
