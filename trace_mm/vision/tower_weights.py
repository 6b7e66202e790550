"""Finds the weights of a vision tower, and reads no more than these from a larger model."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from trace_mm.files.model_files import ModelFiles

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

# How models of several parts call their tower, new and old; the last is a tower alone.
_PREFIXES = ("model.vision_tower.", "vision_tower.", "model.visual.", "visual.", "")
# A whole CLIP holds its tower under this name, and so did towers alone until transformers 5.
_INNER = "vision_model."


def read_tower(files: ModelFiles, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """The weights of a vision tower, alone or within a larger model.

    Of a model in several files only those that hold a part of the tower are looked at.

    Args:
        files: of the model.
        shapes: of the tower's weights, by name.

    Returns:
        The weights by these names, in the dtype in which they are stored.

    Raises:
        FileNotFoundError: if there are no weights as safetensors.
        ValueError: if a file is damaged, or weights are missing, of another shape or unknown.
    """
    place_of: dict[str, str] = {}  # the file of each stored tensor
    if files.find_if_any(INDEX_FILE) is not None:
        place_of = files.read_json(INDEX_FILE).get("weight_map", {})
    else:
        with _opened(files.find(WEIGHTS_FILE)) as content:
            place_of = dict.fromkeys(content.keys(), WEIGHTS_FILE)
    stored = tower_tensors(place_of, shapes)
    _check_names(files.source, set(stored.values()), set(shapes))
    in_file: dict[str, list[str]] = defaultdict(list)
    for name in stored:
        in_file[place_of[name]].append(name)
    weights: dict[str, Tensor] = {}
    for file, names in in_file.items():
        path = files.find(file)
        with _opened(path) as content:
            present = set(content.keys())
            for name in names:
                if name not in present:
                    raise ValueError(f"{path}: holds no {name}, though {INDEX_FILE} says so")
                tensor, shape = content.get_tensor(name), shapes[stored[name]]
                if tensor.shape != shape:
                    raise ValueError(
                        f"{path}: {name} is {tuple(tensor.shape)}, but config.json makes it "
                        f"{tuple(shape)}"
                    )
                weights[stored[name]] = tensor
    return weights


def tower_tensors(stored: Iterable[str], wanted: Iterable[str]) -> dict[str, str]:
    """Which stored tensors are the vision tower's.

    Args:
        stored: names of all tensors of a model.
        wanted: names of the tower's weights.

    Returns:
        The tower's name of each stored tensor that belongs to the tower.
    """
    names = list(stored)
    prefix = next(prefix for prefix in _PREFIXES if any(n.startswith(prefix) for n in [*names, ""]))
    tower = {name: name.removeprefix(prefix) for name in names if name.startswith(prefix)}
    if any(name.startswith(_INNER) for name in tower.values()):
        tower = {
            name: own.removeprefix(_INNER) for name, own in tower.items() if own.startswith(_INNER)
        }
    if any(name.startswith(_INNER) for name in wanted):  # transformers 4's names
        tower = {name: f"{_INNER}{own}" for name, own in tower.items()}
    # Old versions stored what is no weight, and CLIP's projection lies beside its tower.
    left_out = ("embeddings.position_ids", "visual_projection.weight")
    return {name: own for name, own in tower.items() if not own.endswith(left_out)}


def _check_names(source: str, found: set[str], wanted: set[str]) -> None:
    missing, extra = sorted(wanted - found), sorted(found - wanted)
    if missing or extra:
        raise ValueError(
            f"{source}: not the weights of this vision tower: {len(missing)} are missing "
            f"({', '.join(missing[:3])}), {len(extra)} unknown ({', '.join(extra[:3])})"
        )


def _opened(path: Path) -> Any:
    try:
        return safe_open(path, "pt")
    except SafetensorError as error:
        raise ValueError(f"{path}: not a readable safetensors file: {error}") from error
