"""Tables of what students are trained on and with: 5, 7, 9 and 10."""

from collections.abc import Callable
from pathlib import Path

from reproduction import parts
from reproduction.experiment import Experiment, Reading, Row, Setting
from reproduction.parts import Plan

_VISION = {
    "dinov2-g": ("DINOv2-G, 1.1B", (2.6, 7.7), 896),
    "eva02-e": ("EVA02-E, 5.0B", (3.2, 7.9), 896),
    "dinov3-7b": ("DINOv3, 7.0B", (4.3, 8.9), 1024),
    "llava-clip": ("LLaVA, 13B", (3.8, 8.4), 896),
    "qwen25-vl-72b": ("Qwen2.5-VL, 72B", (4.1, 8.5), 896),
}
_LANGUAGE = {
    "llava-13b-language": ("LLaVA, 13B", 336),
    "qwen25-vl-72b-language": ("Qwen2.5-VL, 72B", 896),
}
_DIFFUSION = {
    "sd15": ("SD1.5, 0.8B", (6.8, 11.2)),
    "pixart-alpha": ("PixArt-alpha, 0.6B", (7.1, 11.8)),
    "sdxl": ("SDXL, 2.5B", (7.4, 12.3)),
    "sd35-large": ("SD3.5-L, 8.1B", (8.2, 13.1)),
    "flux-dev": ("FLUX.1, 12B", (8.3, 13.4)),
}
_COLUMNS = (("AP", "AP"), ("AR100", "AR100"))


def table_5(setting: Setting) -> Experiment:
    """Diffusion models against others."""
    plan = Plan(setting)
    (benchmark,) = plan.benchmarks(parts.COCO_2014)

    def row(label: str, name: str, edges: str | None, numbers: tuple[float, ...]) -> Row:
        scores = plan.mask_scores(f"backbone-{name}", "promerge", benchmark, edges)
        known = dict(zip(("AP", "AR100"), numbers, strict=True)) if numbers else {}
        return Row(label, known, parts.mask_readings(scores, *_COLUMNS))

    rows = [row("ProMerge", "none", None, (3.1, 7.6))]
    if setting.mini:
        rows.append(row("teacher, trace-tiny", "teacher", parts.MINI_TEACHER, ()))
        rows.append(row("student, trace-tiny", "student", parts.MINI_STUDENT, ()))
    else:
        for name, (label, numbers, size) in _VISION.items():
            config = f"trace-teacher_{name}_{size}"
            rows.append(row(f"{label} (ABDiv only)", name, config, numbers))
        for name, (label, size) in _LANGUAGE.items():
            config = f"trace-teacher_{name}_{size}"
            rows.append(row(f"{label}, its language model (ABDiv only)", name, config, ()))
        for name, (label, numbers) in _DIFFUSION.items():
            rows.append(row(label, name, str(plan.paper_student(name)), numbers))
    return parts.experiment(
        plan,
        "diffusion models against others",
        ("AP", "AR100"),
        rows,
        "Models without timesteps are read by ABDiv alone and not distilled: the paper's title "
        "says 'fine-tuning results', its rows 'ABDiv only'.",
        "The paper does not say whether its rows of LLaVA and Qwen2.5-VL read the vision tower, as "
        "here, or the language model: rows of that have no number of the paper.",
        *(("A mini run has one diffusion model and no other.",) if setting.mini else ()),
    )


def table_7(setting: Setting) -> Experiment:
    """Time and memory of each phase, end to end."""
    plan = Plan(setting)
    paper = {
        "sdxl": {"train": (192, 20), "voc2012": (0.1, 20), "coco2014": (2.0, 20)},
        "sd35-large": {"train": (240, 32), "voc2012": (0.2, 32), "coco2014": (2.4, 32)},
    }.get(setting.backbone, {})
    checkpoint = plan.paper_student()
    steps = {"train": f"train-{checkpoint.parent.name}"}
    for benchmark in plan.benchmarks(parts.VOC_2012, parts.COCO_2014):
        plan.mask_scores("cost", "promerge", benchmark, str(checkpoint))
        steps[benchmark.name] = f"scores-cost-{benchmark.name}"
    rows = []
    for phase, step in steps.items():
        record = plan.record(step)
        ours = {
            "hours": Reading(record, "seconds", 1 / 3600),
            "memory, GB": Reading(record, "peak_memory_bytes", 1e-9),
            "GPU memory, GB": Reading(record, "peak_gpu_bytes", 1e-9),
        }
        known = dict(zip(("hours", "GPU memory, GB"), paper.get(phase, ()), strict=False))
        rows.append(Row(phase, known, ours))
    return parts.experiment(
        plan,
        "time and memory, end to end",
        ("hours", "memory, GB", "GPU memory, GB"),
        rows,
        "Training includes the teacher's edges of all images. Tests read, refine and score all "
        "images.",
        "The paper does not say of which phase its memory is.",
        "Memory is the resident set of the largest process; of GPUs, the most that all together "
        "hold.",
    )


def table_9(setting: Setting) -> Experiment:
    """Decoders of other sizes."""
    paper = {"U-Net": 8.2, "Mask2Former-style": 8.4, "one layer": 8.2}
    kinds = {"U-Net": "UNetDecoder", "Mask2Former-style": "Mask2FormerStyleDecoder"}
    plan = Plan(setting)
    (benchmark,) = plan.benchmarks(parts.COCO_2014)
    scores = plan.mask_scores("backbone-none", "promerge", benchmark, None)
    rows = [Row("ProMerge", {"AP": 3.1}, {"AP": Reading(scores, "AP")})]
    for label, number in paper.items():
        name = f"decoder-{label.lower().replace(' ', '-')}"
        edges = _with_decoder(plan, name, kinds[label]) if label in kinds else plan.paper_student()
        scores = plan.mask_scores(name, "promerge", benchmark, str(edges))
        rows.append(Row(label, {"AP": number}, {"AP": Reading(scores, "AP")}))
    said = "In a mini run the small decoder is the grid-free one of the shipped student."
    return parts.experiment(
        plan, "edge decoders of other sizes", ("AP",), rows, *((said,) if setting.mini else ())
    )


def _with_decoder(plan: Plan, name: str, kind: str) -> Path:
    """A student with another decoder; its last checkpoint."""
    options: dict[str, object] = {"model.decoder.type": kind}
    if not plan.setting.mini:  # else arguments of the one layer would be left, which others lack
        options = {"model.decoder._delete_": True, **options}
    return plan.changed_student(name, options)


def table_10(setting: Setting) -> Experiment:
    """Which pixels of the teacher's edges a student learns from."""
    plan = Plan(setting)
    (benchmark,) = plan.benchmarks(parts.COCO_2014)
    columns = ("AP", "AR100", "precision", "recall", "ODS")
    scores = plan.mask_scores("backbone-none", "promerge", benchmark, None)
    known = {"AP": 3.1, "AR100": 7.6}
    rows = [Row("ProMerge", known, parts.mask_readings(scores, *_COLUMNS))]
    paper = {
        "mu": (6.4, 11.4, 0.572, 0.963, 0.717),
        "mu_sigma": (8.2, 13.1, 0.852, 0.950, 0.889),
        **({"ridge": ()} if setting.mini else {}),
    }
    for scheme, numbers in paper.items():
        name, usual = f"labels-{scheme}", scheme == "ridge"  # in the config of mini runs
        options = {"model.pseudo_label": scheme}
        trained = plan.paper_student() if usual else plan.changed_student(name, options)
        masks = plan.mask_scores(name, "promerge", benchmark, str(trained))
        of_edges = plan.edge_scores(name, "folder", ["--edges-from", str(trained)])
        ours = parts.mask_readings(masks, *_COLUMNS)
        ours |= {key: Reading(of_edges, key.lower(), 1) for key in columns[2:]}
        known = dict(zip(columns, numbers, strict=True)) if numbers else {}
        rows.append(Row(scheme, known, ours))
    said = (
        "The configs' own scheme, mu_sigma_median, is mu_sigma where this labels an interior: here "
        "each scheme is trained as it is."
    )
    own = (
        "The shipped teacher's mean - deviation is below 0, so that mu_sigma labels no interior: "
        "its student learns from ridge."
    )
    return parts.experiment(
        plan,
        "which pixels of the teacher's edges are learned",
        columns,
        rows,
        own if setting.mini else said,
    )


EXPERIMENTS: dict[str, Callable[[Setting], Experiment]] = {
    "5": table_5,
    "7": table_7,
    "9": table_9,
    "10": table_10,
}
