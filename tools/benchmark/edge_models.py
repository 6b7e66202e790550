"""The edges that benchmarks compare, and settings from their command lines."""

import json
from collections.abc import Sequence
from typing import Any

from trace_mm.models import CannyDetector, TraceTeacher, build_student


def build_edges(name: str, model: str, size: int | None) -> Any:
    """An edge model by its name: student, teacher or canny.

    Args:
        name: which.
        model: of student and teacher.
        size: at which these are shown images; None for the model's own.
    """
    if name == "student":
        student = build_student(model)
        student.size = size or student.size
        return student.eval()
    if name == "teacher":
        return TraceTeacher({"pretrained": model}, **({"size": size} if size else {})).eval()
    if name == "canny":
        return CannyDetector(sigma=5.0)
    raise ValueError(f"there is no edge model {name!r}")


def parse_settings(items: Sequence[str]) -> dict[str, Any]:
    """Settings by name, from ``NAME=VALUE`` with JSON values."""
    return {name: json.loads(value) for name, _, value in (item.partition("=") for item in items)}
