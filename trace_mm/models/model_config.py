"""From what a user calls a model to the config that builds it."""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.config import Config, ConfigDict

from trace_mm.catalogue import CATALOGUE, TIMM_PREFIX, TRANSFORMERS_PREFIX
from trace_mm.console import note
from trace_mm.diffusion.pretrained import resolve_pretrained, shipped_models, shipped_students
from trace_mm.files.shipped_configs import read_config_file
from trace_mm.lazy import export_homes
from trace_mm.models.student_files import WEIGHTS_FILE, read_description, trained_dtype
from trace_mm.models.student_folder import find_student, student_parts
from trace_mm.registry import MODELS
from trace_mm.signatures import read_signature

if TYPE_CHECKING:
    import torch

METHODS = {"student": "TraceStudent", "teacher": "TraceTeacher"}
_VISION_TEACHER = "VisionTeacher"  # a teacher too, on a backbone that is no diffusion model
_TRAINED_STUDENT = "TrainedStudent"  # a student by its name
_NO_EDGE_MODELS = {"MaskRefiner": "edges"}  # and where such a config has one
DEFAULT_METHOD = "student"
DEFAULT_STUDENT = "trace-tiny-photo"
DEFAULT_BACKBONE = "trace-tiny"
_CHECKPOINTS = {".pth", ".safetensors"}
_CONFIGS = {".py", ".json", ".yaml", ".yml"}


def model_config(
    model: str | os.PathLike[str] | dict[str, Any] | Config | None,
    method: str | None = None,
    dtype: str | None = None,
    options: dict[str, Any] | None = None,
    backbone: str | os.PathLike[str] | None = None,
    device: str | torch.device = "cpu",
    prompts: str | os.PathLike[str] | None = None,
) -> Config:
    """The config of a model.

    Args:
        model: see :class:`trace_mm.apis.TraceInferencer`.
        method: likewise.
        dtype: of the denoiser; if None that of a config, and of a student the one that it was
            trained in, unless the device is a CPU that would have to emulate it.
        options: arguments of the model, which replace those of a config.
        backbone: where the backbone is, if not where the model says. Without a model it is one: a
            name of ``trace-mm backbones``, a folder, a hub id or a config file of a teacher.
        device: on which the model is to run.
        prompts: see :func:`trace_mm.diffusion.load_backbone`; if None those of a config.

    Returns:
        One with ``model``, of the caller's own. A student's may leave out what its checkpoint says.

    Raises:
        FileNotFoundError: if there is no such model.
        ValueError: if a config file cannot be read, a config has no model, a model is not of this
            method, or an option is another method's.
        TypeError: if ``model`` is of another type.
    """
    if method is not None and method not in METHODS:
        raise ValueError(f"method must be {' or '.join(METHODS)}, got {method!r}")
    if model is None and backbone is not None and method != "student":
        model, method, backbone = _backbone_as_model(backbone), "teacher", None
    if model is None:
        model = DEFAULT_BACKBONE if method == "teacher" else DEFAULT_STUDENT
    pretrained = None if backbone is None else os.fspath(backbone)
    if isinstance(model, (str, os.PathLike)) and Path(model).suffix not in _CONFIGS:
        config = _named_config(os.fspath(model), method or DEFAULT_METHOD, pretrained)
    else:
        config = _given_config(model, method, pretrained)
    _check_options(config.model, options or {})
    config.model.update(options or {})
    if "backbone" in config.model:
        if class_name(config.model) != _VISION_TEACHER:
            source = resolve_pretrained(config.model.backbone.pretrained)
            config.model.backbone["pretrained"] = source
        if dtype is None and "dtype" not in config.model.backbone:
            dtype = usual_dtype(config.model, device)
        if dtype is not None:
            config.model.backbone["dtype"] = dtype
    elif dtype is not None:
        raise ValueError(f"model {config.model.type} has no dtype to set")
    if prompts is not None:
        if "backbone" not in config.model or class_name(config.model) == _VISION_TEACHER:
            raise ValueError(f"model {config.model.type} takes no prompts")
        config.model.backbone["prompts"] = os.fspath(prompts)
    return config


def usual_dtype(model: dict[str, Any], device: str | torch.device) -> str | None:
    """The dtype of a model whose config names none: what a student was trained in.

    Args:
        model: config, of a student with its ``checkpoint``.
        device: on which it is to run. On a CPU that would emulate the dtype it is float32.

    Returns:
        None for float32, unless it takes the place of another, which a note tells.

    Raises:
        FileNotFoundError: if there is no such checkpoint.
        ValueError: if it is damaged or not a student's; names it.
    """
    trained = trained_dtype(model["checkpoint"]) if method_of(model) == "student" else "float32"
    if trained == "float32":
        return None
    from trace_mm.ops import dtypes  # imports torch

    if dtypes.is_fast_on(trained, device):
        return trained
    note(
        f"this student was trained in {trained}, which this CPU can only emulate: it computes in "
        f"float32 instead, unless dtype (--dtype) says {trained}"
    )
    return "float32"


def with_dtype(model: dict[str, Any], device: str | torch.device) -> dict[str, Any]:
    """The config of a model with the dtype that it has on a device; see :func:`usual_dtype`."""
    if method_of(model) != "student" or "dtype" in model.get("backbone", {}):
        return model
    dtype = usual_dtype(model, device) or "float32"
    return {**model, "backbone": {**model["backbone"], "dtype": dtype}}


def with_trained_dtype(model: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a model with the dtype that a student was trained in, if it names none.

    Unlike :func:`with_dtype` it depends on no device.

    Raises:
        FileNotFoundError: if there is no such student.
        ValueError: if its checkpoint is damaged; names it.
    """
    config = as_trace_student(plain_config(model))
    if method_of(config) == "student" and config.get("checkpoint") is not None:
        backbone = {"dtype": trained_dtype(config["checkpoint"]), **config["backbone"]}
        config["backbone"] = backbone
    return config


def _backbone_as_model(backbone: str | os.PathLike[str]) -> str | Config:
    """A backbone whose edges are read: a name, or the config of a teacher."""
    if Path(backbone).suffix not in _CONFIGS:
        return os.fspath(backbone)
    config = _read_config(Path(backbone).expanduser())
    model: dict[str, Any] = config.get("model") or {}
    if "type" in model and method_of(model) != "teacher":
        kind = model["type"]
        raise ValueError(f"{backbone} is the config of a {kind}: name it as the model (--model)")
    return config


def method_of(config: dict[str, Any]) -> str | None:
    """The method of a model's config; None for models that are neither teacher nor student."""
    names = {name: method for method, name in METHODS.items()}
    names |= {_VISION_TEACHER: "teacher", _TRAINED_STUDENT: "student"}
    return names.get(class_name(config))


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A model's config as a plain dict, independent of the argument."""
    if isinstance(config, ConfigDict):
        plain: dict[str, Any] = config.to_dict()
        return plain
    return copy.deepcopy(dict(config))


def model_class(config: dict[str, Any]) -> Any:
    """The class of a config's model.

    Raises:
        ValueError: if there is none of that name.
    """
    kind = config.get("type")
    found = MODELS.get(kind) if isinstance(kind, str) else kind
    if found is None:
        raise ValueError(f"cannot build the model: {kind} is not in the registry of trace_mm")
    return found


@dataclass(frozen=True)
class ModelKind:
    """A model's class as far as its description needs it.

    Attributes:
        name: of the class.
        signature: its options, perhaps as :func:`trace_mm.signatures.read_signature` has them.
    """

    name: str
    signature: inspect.Signature


def model_kind(config: dict[str, Any]) -> ModelKind:
    """What can be known of the class of a config's model.

    Of one of this package it is read from the source, since to import it takes torch.

    Raises:
        ValueError: if there is none of that name.
    """
    name = class_name(config)
    given, home = config["type"], export_homes("trace_mm.models").get(name)
    if home is not None and given in (name, f"trace_mm.{name}") and name not in MODELS.module_dict:
        try:
            return ModelKind(name, read_signature(home, name))
        except (LookupError, OSError, ValueError):  # the source alone does not say it
            pass
    kind = model_class(config)
    return ModelKind(getattr(kind, "__name__", str(kind)), inspect.signature(kind))


def class_name(config: dict[str, Any]) -> str:
    """The name of a config's class, without that of its module."""
    kind = config["type"]
    name: str = kind.rpartition(".")[2] if isinstance(kind, str) else kind.__name__
    return name


def build_model(config: dict[str, Any]) -> Any:
    """The model of a config, a student with its LoRA merged.

    Raises:
        FileNotFoundError: if a checkpoint or backbone is missing.
        ValueError: if an option is wrong, or a checkpoint does not fit.
    """
    from trace_mm.models.student_weights import build_student

    config = as_trace_student(config)
    try:
        if method_of(config) != "student":
            return _with_own_weights(MODELS.build(config))
        # As the checkpoint says. LoRA is merged, which needs no peft, and nothing is trained.
        left_out = {"type", "checkpoint", "backbone", "lora", "teacher"}
        options = {name: value for name, value in config.items() if name not in left_out}
        return build_student(config["checkpoint"], config["backbone"], **options)
    except (KeyError, TypeError) as error:  # a type or an argument that there is not
        raise ValueError(f"cannot build the model: {error.args[0]}") from error


def _with_own_weights(model: Any) -> Any:
    """A model with the weights that an ``init_cfg`` of MMEngine's in it names, if one does."""
    # Without one, init_weights only logs every weight.
    if any(getattr(module, "init_cfg", None) for module in model.modules()):
        model.init_weights()
    return model


def _named_config(name: str, method: str, backbone: str | None) -> Config:
    """The config of a shipped name, a folder, a hub id or a checkpoint."""
    path = Path(name).expanduser()
    if path.is_file() and path.suffix not in _CHECKPOINTS:
        raise ValueError(f"{path}: a model is a config file, a checkpoint, a folder or a name")
    if path.suffix in _CHECKPOINTS and not path.exists():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    if method == "teacher":
        return _teacher_config(name, path, backbone)
    student = find_student(name)
    if student is None:
        resolve_pretrained(name)
        raise ValueError(
            f"{name} has no student. Train one and name its folder, or read the edges out of the "
            f"model itself, without training: backbone={name!r} (--backbone {name}) instead"
        )
    model: dict[str, Any] = {"type": _TRAINED_STUDENT, "student": name}
    if backbone is not None:
        model["backbone"] = {"pretrained": backbone}
    return Config({"model": as_trace_student(model)})


def as_trace_student(config: dict[str, Any]) -> dict[str, Any]:
    """A student's config as that of a ``TraceStudent``, with checkpoint and backbone."""
    if class_name(config) != _TRAINED_STUDENT:
        return config
    options = {name: value for name, value in config.items() if name not in ("type", "student")}
    checkpoint, source = student_parts(config["student"], options.pop("backbone", None))
    return {"type": "TraceStudent", "checkpoint": checkpoint, "backbone": source, **options}


def _teacher_config(name: str, path: Path, backbone: str | None) -> Config:
    if backbone is not None:
        raise ValueError(
            f"the teacher is its backbone: give backbone={backbone!r} (--backbone {backbone}) "
            f"without the model {name}"
        )
    alone = name in shipped_students() and name not in shipped_models()
    if alone or path.suffix in _CHECKPOINTS or (path / WEIGHTS_FILE).is_file():
        trained_on = _teacher_of(name if alone else path)
        raise ValueError(
            f"{name} is a student: it has no method='teacher'. For the teacher, give the backbone "
            f"instead: backbone={trained_on!r} (--backbone {trained_on})"
        )
    is_vision = _is_vision_model(name, path)
    if name in CATALOGUE and not is_vision and not (path / "model_index.json").is_file():
        return Config({"model": CATALOGUE[name].model_config()})
    if is_vision:
        source = {"pretrained": str(path) if path.is_dir() else name}
        return Config({"model": {"type": _VISION_TEACHER, "backbone": source}})
    resolve_pretrained(name)
    return Config({"model": {"type": "TraceTeacher", "backbone": {"pretrained": name}}})


def _teacher_of(student: str | Path, backbone: str | None = None) -> str:
    """What a student's teacher is called: its backbone, of a merged student the one before."""
    description = read_description(student)
    if "merged" in description:
        return str(description["merged"]["backbone"])
    name = str(description["backbone"]["name"])
    return name if name in shipped_models() else backbone or name


def _is_vision_model(name: str, path: Path) -> bool:
    """Whether a name says so by its prefix, or is a folder of transformers and not of diffusers."""
    is_folder = (path / "config.json").is_file() and not (path / "model_index.json").is_file()
    return name.startswith((TIMM_PREFIX, TRANSFORMERS_PREFIX)) or is_folder


def _given_config(model: Any, method: str | None, backbone: str | None) -> Config:
    """A config that the user brings."""
    if isinstance(model, (str, os.PathLike)):
        config = _read_config(Path(model).expanduser())
    elif isinstance(model, dict):  # mmengine's Config is not a dict
        config = Config(copy.deepcopy(dict(model if "model" in model else {"model": model})))
    elif isinstance(model, Config):
        config = copy.deepcopy(model)
    else:
        raise TypeError(f"model must be a name, path, dict or Config, got {type(model).__name__}")
    if not isinstance(config.get("model"), dict) or "type" not in config.model:
        raise ValueError("a config must hold model = dict(type=...)")
    if class_name(config.model) in _NO_EDGE_MODELS:
        part = _NO_EDGE_MODELS[class_name(config.model)]
        kind, inside = config.model.type, config.model.get(part, {}).get("type")
        raise ValueError(
            f"the config's model is a {kind}, which finds no edges: its edge model is {inside}, in "
            f"model.{part} (trace-mm test and tools/refine_masks.py take such configs)"
        )
    found = method_of(config.model)
    if method is not None and method != found:
        raise ValueError(f"method {method!r} contradicts the config, a {config.model.type}")
    if class_name(config.model) == _TRAINED_STUDENT:
        if backbone is not None:
            config.model.backbone = {**config.model.get("backbone", {}), "pretrained": backbone}
        return Config({**config.to_dict(), "model": as_trace_student(config.model.to_dict())})
    if found == "student" and config.model.get("checkpoint") is None:
        raise ValueError(
            "the config's student is untrained: name its checkpoint as the model, or set "
            "model.checkpoint"
        )
    if backbone is not None:
        if "backbone" not in config.model:
            raise ValueError(f"model {config.model.type} has no backbone to set")
        config.model.backbone["pretrained"] = backbone
    return config


def _read_config(path: Path) -> Config:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such config")
    try:
        return read_config_file(path)
    except Exception as error:  # a config is code, so it can raise anything
        raise ValueError(f"{path}: cannot read this config: {error}") from error


def _check_options(config: dict[str, Any], options: dict[str, Any]) -> None:
    """Refuse what only the teacher can do, or only one with timesteps."""
    if class_name(config) == _VISION_TEACHER:
        timed = [name for name in ("timestep", "noise_draws", "seed") if name in options]
        if timed:
            name = config["backbone"]["pretrained"]
            raise ValueError(f"{name} has no timesteps: the option {timed[0]} is not for it")
    if method_of(config) is None and options:
        known = model_kind(config).signature.parameters
        foreign = [name for name in options if name not in known]
        if foreign:
            raise ValueError(f"cannot build the model: {config['type']} has no option {foreign[0]}")
    if method_of(config) != "student":
        return
    kinds = [model_kind({"type": name}) for name in METHODS.values()]
    own, others = (set(kind.signature.parameters) for kind in kinds)
    foreign = [f"{name}={options[name]!r}" for name in options if name in others - own]
    if options.get("timestep") == "iep":
        foreign.append("timestep='iep'")
    if foreign:
        source = _teacher_of(config["checkpoint"], config["backbone"]["pretrained"])
        raise ValueError(
            f"a student reads edges in one pass, without {', '.join(foreign)}; its teacher has "
            f"that: backbone={source!r} (--backbone {source}) instead of a model"
        )
