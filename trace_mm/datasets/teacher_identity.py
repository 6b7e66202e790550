"""What decides a teacher's answers, from its config and without building it."""

import hashlib
import inspect
from pathlib import Path
from typing import Any

from trace_mm import __version__
from trace_mm.diffusion import (
    STUDENT_FOLDER,
    resolve_pretrained,
    shipped_models,
    weights_fingerprint,
)
from trace_mm.registry import MODELS

_NOT_DECIDING = {"type", "data_preprocessor", "device"}


def describe_teacher(teacher: dict[str, Any]) -> dict[str, Any]:
    """Everything that a teacher's edges depend on, as JSON values.

    Options that are not given count with their defaults. Weights, checkpoints and config files
    count by their content, so that they may move, and replaced ones are noticed, the shipped
    models' too. The version of this package counts, since a new one may read edges in another way.

    Args:
        teacher: config of a registered model.

    Raises:
        ValueError: if ``type`` is not a registered model.
        FileNotFoundError: if there is no such backbone.
    """
    model = MODELS.get(teacher["type"]) if isinstance(teacher.get("type"), str) else None
    if model is None:
        raise ValueError(f"a teacher is the config of a model of trace_mm, got {dict(teacher)}")
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(model).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    options = _identify_dict({**defaults, **teacher})
    return {"version": __version__, "model": model.__name__, "options": options}


def _identify_dict(options: dict[str, Any]) -> dict[str, Any]:
    """Options by name; those that are None are left out, since that is the default of all."""
    described = {}
    for name, value in options.items():
        if name in _NOT_DECIDING or value is None:
            continue
        if name == "pretrained":
            value = resolve_pretrained(value)
        elif name == "checkpoint" and str(value) in shipped_models():
            value = shipped_models()[str(value)] / STUDENT_FOLDER
        described[str(name)] = _identify(value)
    return described


def _identify(value: Any) -> Any:
    if isinstance(value, dict):
        kind = {"type": str(value["type"])} if "type" in value else {}
        return {**kind, **_identify_dict(value)}
    if isinstance(value, (list, tuple)):
        return [_identify(part) for part in value]
    if isinstance(value, (str, Path)):
        path = Path(value).expanduser()
        if path.is_file():
            return f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
        if path.is_dir() and any(path.rglob("*.safetensors")):
            return f"folder {weights_fingerprint(path)}"
    return value if isinstance(value, (bool, int, float)) else str(value)
