"""The edges that benchmarks compare, and settings from their command lines."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trace_mm.models import CannyDetector, EdgeFolder, TraceTeacher, build_student

MODELS = ("canny", "teacher", "student")


def edges_by_name(
    items: Sequence[str], computed: Mapping[str, Any], model: str, size: int | None
) -> dict[str, Any]:
    """Edge models by name.

    Args:
        items: names out of ``computed`` and ``MODELS``, or ``NAME=FOLDER`` with edge maps that any
            detector has written.
        computed: further models by name.
        model: of student and teacher.
        size: at which these are shown images; None for the model's own.

    Raises:
        ValueError: if an item is none of these, or two have one name.
        FileNotFoundError: if there is no such folder.
    """
    found: dict[str, Any] = {}
    for item in items:
        name, is_folder, folder = item.partition("=")
        if name in found:
            raise ValueError(f"two kinds of edges are called {name!r}")
        if is_folder and name and folder and name not in computed:
            found[name] = EdgeFolder(folder)
        elif item in computed:
            found[name] = computed[item]
        elif item in MODELS:
            found[name] = build_edges(item, model, size)
        else:
            known = ", ".join([*computed, *MODELS])
            raise ValueError(f"edges must be {known} or NAME=FOLDER, got {item!r}")
    return found


def build_edges(name: str, model: str, size: int | None) -> Any:
    """An edge model by its name.

    Args:
        name: one of ``MODELS``.
        model: of student and teacher.
        size: at which these are shown images; None for the model's own.
    """
    if name == "student":
        student = build_student(model)
        student.size = size or student.size
        return student.eval()
    if name == "teacher":
        return TraceTeacher({"pretrained": model}, **({"size": size} if size else {})).eval()
    return CannyDetector(sigma=5.0)


def require_maps(model: Any, images: Sequence[Path], root: Path) -> None:
    """See that a folder of edge maps has those of all images, before any is looked at.

    Args:
        model: any edge model; only an ``EdgeFolder`` may lack maps.
        images: photos.
        root: their folder.

    Raises:
        FileNotFoundError: if a photo has none; names the first and the folder.
        ValueError: if two photos could have one map; names both.
    """
    if not isinstance(model, EdgeFolder):
        return
    paths = [str(path) for path in images]
    model.expect(paths, root=str(root))
    missing = model.without_map(paths)
    if missing:
        others = f" and of {len(missing) - 1} more" if len(missing) > 1 else ""
        raise FileNotFoundError(f"{model.maps.folder}: no edge map of {missing[0]}{others}")


def parse_settings(items: Sequence[str]) -> dict[str, Any]:
    """Settings by name, from ``NAME=VALUE`` with JSON values."""
    return {name: json.loads(value) for name, _, value in (item.partition("=") for item in items)}
