"""Where edges come from, in one word: a student, a backbone, a config, or a folder of edge maps."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trace_mm.catalogue import TIMM_PREFIX, TRANSFORMERS_PREFIX
from trace_mm.files.shipped_configs import config_names, find_config
from trace_mm.models.model_config import build_model, class_name, model_config
from trace_mm.models.student_folder import find_student
from trace_mm.registry import MODELS

_EDGES_FROM = "EdgesFrom"
_FOLDER = "EdgeFolder"
_MAPS = {".png", ".npz", ".npy"}
_OF_MODELS = ("model_index.json", "config.json")


@MODELS.register_module(name=_EDGES_FROM)
def build_edges_from(source: str, **options: Any) -> Any:
    """Build the edge model that a word means, ready to predict; see :func:`edges_from`."""
    config = edges_from(source, **options)
    known = class_name(config) == _FOLDER
    return MODELS.build(config) if known else build_model(config)


def edges_from(source: str | os.PathLike[str], **options: Any) -> dict[str, Any]:
    """The config of the edge model that a word means.

    Args:
        source: the first of these that it is: a config file, or the name of a config of this
            package, for its model; a student (a shipped name, a checkpoint, a folder of ``trace-mm
            export`` or its hub id); a folder of edge maps; a backbone whose edges are read without
            training (a name of ``trace-mm backbones``, a folder, or a hub id).
        options: arguments of that model. ``backbone`` adds to what is known of the backbone.

    Raises:
        FileNotFoundError: if there is no such thing.
        ValueError: if an option is none of the model's, or a config has no edge model.
    """
    name = os.fspath(source)
    if Path(name).suffix in {".py", ".json", ".yaml", ".yml"} or _is_config_name(name):
        return _with_options(model_config(find_config(name)).model.to_dict(), options)
    if not name.startswith((TIMM_PREFIX, TRANSFORMERS_PREFIX)):
        if _holds_edge_maps(Path(name).expanduser()):
            return {"type": _FOLDER, "folder": name, **options}
        if find_student(name) is not None:
            return {"type": "TrainedStudent", "student": name, **options}
    return _with_options(model_config(None, backbone=name).model.to_dict(), options)


def known_edges(config: Mapping[str, Any]) -> dict[str, Any]:
    """A model's config, with ``EdgesFrom`` replaced by what it means.

    Raises:
        FileNotFoundError: see :func:`edges_from`.
        ValueError: likewise.
    """
    plain = dict(config)
    if class_name(plain) != _EDGES_FROM:
        return plain
    return edges_from(**{name: value for name, value in plain.items() if name != "type"})


def _is_config_name(name: str) -> bool:
    wanted = name.removeprefix("configs/")
    return any(wanted in (one, one.rpartition("/")[2]) for one in config_names())


def _holds_edge_maps(folder: Path) -> bool:
    """Whether a folder is one of edge maps: it holds some at any depth, and no model."""
    if not folder.is_dir() or any((folder / name).exists() for name in _OF_MODELS):
        return False
    if any(folder.glob("*.safetensors")):
        return False
    return any(path.suffix.lower() in _MAPS for path in folder.rglob("*"))


def _with_options(model: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """A model's config with arguments, of which those of the backbone are added to its own."""
    rest = {name: value for name, value in options.items() if name != "backbone"}
    if "backbone" in options:
        model = {**model, "backbone": {**model.get("backbone", {}), **options["backbone"]}}
    return model_config(model, options=rest).model.to_dict()
