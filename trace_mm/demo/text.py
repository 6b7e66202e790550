"""The words of the demo's report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trace_mm.diffusion import shipped_models

HEADING = "Instance edges from a diffusion model"

_LEAD = (
    "TRACE looks for the lines where one object ends and the next begins, also between two of a "
    "kind. It was never shown an outline that somebody drew: it watches what a diffusion model "
    "attends to while it looks at a picture through noise."
)
_LEAD_OF_STUDENT = " A student then learns to see the same in a single look."
_STEPS = (
    (
        "1. Look through noise",
        "Noise is added to the image at growing timesteps t. Each time, the model says for every "
        "patch which other patches it attends to.",
    ),
    (
        "2. Find the moment",
        "At t*, marked in the curve, attention differs most from the timestep before. That is "
        "where instances emerge.",
    ),
    (
        "3. Draw the borders",
        "Patches of one object attend to the same places. Where the patches on two sides of a "
        "point do not, there is an edge.",
    ),
)
_STEPS_OF_VISION = (
    (
        "1. Look",
        "The model says for every patch of the image which other patches it attends to.",
    ),
    (
        "2. Draw the borders",
        "Where the patches on two sides of a point attend to different places, there is an edge.",
    ),
)
_STUDENT_STEP = (
    "4. Learn it",
    "A student, the same model with a few more weights, is trained on those borders, without any "
    "labels. It takes one look and no search, and is to close the gaps.",
)
_ABOUT_SHIPPED = (
    "What this model can and cannot do",
    "This is the small model that comes with the package. It shows the method and runs on any "
    "laptop. It has seen drawn scenes and a few hundred photos, so it separates simple objects but "
    "knows little of the world: on photos expect colour and texture borders too. Pretrained "
    "models such as Stable Diffusion are the real thing (--model).",
)
_ABOUT_TEACHER = (
    "About this model",
    "Edges are read out of {model} as it is, without training. They are as fine as its attention "
    "grid; thin parts of objects may be lost, and --tile keeps large images sharp.",
)
_ABOUT_STUDENT = (
    "About this model",
    "The student was trained on {model}, from edges that a teacher reads out of that model as it "
    "is. It knows the kind of images that it was trained on; --tile keeps large images sharp.",
)
_ABOUT_VISION = (
    "About this model",
    "{model} is no diffusion model: it has no noise to look through and no moment to find, and is "
    "here for comparison. Edges are as fine as its grid of patches.",
)
_ABOUT_DETECTOR = ("About this model", "Edges are those of {model}.")
_ABOUT_COLORS = (
    "Reading the colours",
    "Patches with the same attention have the same colour: the three principal components of the "
    "attention map as red, green and blue, turned so that colours compare across timesteps.",
)
_BEFORE_AND_AFTER = (
    "Before and after",
    "The student’s edges stand beside those of a teacher such as it learned from. Curve and "
    "colours are the teacher’s: they come from the diffusion model before it was fine-tuned.",
)
_NO_TEACHER = (
    "Without the teacher",
    "This student’s training is merged into its diffusion model. What its teacher sees needs "
    "the original, so that the report leaves it out.",
)

COMMANDS = (
    (
        "Masks of your own photos, and a page to look through them",
        "trace-mm segment photos/ --out masks/ --show",
    ),
    ("Edges of your own photos, as PNG files", "trace-mm edges photos/ --out results/"),
    ("This report of your own photos", "trace-mm demo photo.jpg another.jpg"),
    ("Try settings by sliders, in a browser", "trace-mm app"),
    (
        "The same from a large diffusion model, with its weights and a GPU",
        "trace-mm segment photos/ --out masks/ --backbone sd35-large --device cuda",
    ),
)
"""What to do next, and the command for it."""


def lead(reader: str | None) -> str:
    """What it is about, for readers who know nothing of it.

    Args:
        reader: what reads the edges: "student", "teacher", "vision" for a model without
            timesteps, or None for gradients.
    """
    return _LEAD + _LEAD_OF_STUDENT if reader == "student" else _LEAD


def steps(reader: str | None) -> list[tuple[str, str]]:
    """Title and text of how it works, step by step.

    Args:
        reader: as for :func:`lead`.
    """
    if reader == "vision":
        return list(_STEPS_OF_VISION)
    return [*_STEPS, _STUDENT_STEP] if reader == "student" else list(_STEPS)


def notes(reader: str | None, model: Mapping[str, Any], has_teacher: bool) -> list[tuple[str, str]]:
    """Title and text of what else a reader must know.

    Args:
        reader: as for :func:`lead`.
        model: its config.
        has_teacher: whether the report shows what the teacher sees.
    """
    pretrained = str(model.get("backbone", {}).get("pretrained", model["type"]))
    if pretrained in map(str, shipped_models().values()):
        about = _ABOUT_SHIPPED
    else:
        texts = {
            "student": _ABOUT_STUDENT,
            "teacher": _ABOUT_TEACHER,
            "vision": _ABOUT_VISION,
            None: _ABOUT_DETECTOR,
        }
        title, text = texts[reader]
        about = title, text.format(model=Path(pretrained).name)
    found = [about]
    if reader == "student":
        found.append(_BEFORE_AND_AFTER if has_teacher else _NO_TEACHER)
    if has_teacher:
        found.append(_ABOUT_COLORS)
    return found
