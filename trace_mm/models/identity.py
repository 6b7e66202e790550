"""What decides a model's predictions: known from its config, without building the model."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trace_mm.catalogue import CATALOGUE, TIMM_PREFIX
from trace_mm.diffusion.fingerprint import file_fingerprint, weights_fingerprint
from trace_mm.diffusion.forward_process import check_range
from trace_mm.diffusion.pretrained import backbone_settings, resolve_pretrained, shipped_students
from trace_mm.diffusion.source import open_model
from trace_mm.diffusion.variants import denoiser_variant
from trace_mm.files import absolute_path
from trace_mm.files.model_files import ModelFiles
from trace_mm.models.model_config import (
    as_trace_student,
    class_name,
    model_kind,
    plain_config,
)
from trace_mm.models.object_tiles import check_one_choice
from trace_mm.models.options import (
    NOT_CALIBRATED,
    check_calibration,
    check_key_cell,
    check_preset,
    check_reading,
    student_options,
    teacher_options,
    tile_side,
    timesteps_read,
)
from trace_mm.models.student_files import (
    read_description,
    student_backbone,
    student_fingerprint,
    trained_dtype,
)
from trace_mm.signatures import Named, read_signature

RESULTS = 1
"""Number of what models make of images: raised when a change of this package changes results, so
that stored ones are not taken for those of today."""

_OF_NO_PREDICTIONS = {"type", "data_preprocessor", "device"}  # options of any model
_NOT_OF_PREDICTIONS = {  # options of our own models that their edges do not depend on
    *_OF_NO_PREDICTIONS,
    "dice_smoothing",
    "doubt",
    "edge_loss",
    "gradient_checkpointing",
    "label_grid",
    "lora",
    "preset",
    "pseudo_label",
    "reconstruction",
    "reconstruction_weight",
    "teacher",
    "train_size",
}
_OF_THE_SEARCH = ("timesteps", "divergence", "timestep_batch")
_DTYPES = ("float32", "float16", "bfloat16")  # with their usual names
_MODEL_MARKS = ("model_index.json", "config.json")  # in a folder: it holds a model

Options = dict[str, Any]


def describe_model(config: Mapping[str, Any]) -> Options:
    """Everything that a model's predictions depend on, as JSON values by name.

    Options count with the values that the model takes: what is not given is the default, what the
    backbone's folder recommends, the preset's, or what the student's checkpoint says. So a default
    and the same value given are equal. Weights count by their content: a folder may move, and
    replaced weights are noticed. Models on a hub count by their id and revision, and nothing is
    asked of the hub; where only it could say a model's native size, none given stays none.

    Nothing is built. On which device is computed is no matter of the model.

    Args:
        config: of a registered model, as :func:`trace_mm.models.model_config.build_model` takes it.

    Returns:
        ``results`` (:data:`RESULTS`), ``model`` (its class), and the options; those of a backbone
        as ``backbone.NAME``.

    Raises:
        FileNotFoundError: if a checkpoint or backbone is missing.
        ValueError: if the model is not registered, or an option is wrong.
    """
    given = as_trace_student(plain_config(config))
    kind = model_kind(given)
    own = {
        "TraceStudent": _describe_student,
        "TraceTeacher": _describe_teacher,
        "VisionTeacher": _describe_vision_teacher,
    }.get(class_name(given))
    defaults = _defaults(kind.name, kind.signature, given)
    decided = (own or _describe_other)(given, defaults)
    ignored = _NOT_OF_PREDICTIONS if own else _OF_NO_PREDICTIONS  # others' names may mean anything
    relevant = {n: v for n, v in decided.items() if n not in ignored and v is not None}
    return {"results": RESULTS, "model": kind.name, **_plain(relevant)}


def _defaults(name: str, signature: inspect.Signature, given: Options) -> Options:
    """The default of each option.

    Args:
        name: of what takes the options.
        signature: of that.
        given: options.

    Raises:
        ValueError: if an option is given that there is not.
    """
    parameters = signature.parameters.values()
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        known = {"type", *(parameter.name for parameter in parameters)}
        unknown = [name for name in given if name not in known]
        if unknown:
            raise ValueError(f"cannot build the model: {name} has no option {unknown[0]}")
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def _describe_teacher(given: Options, defaults: Options) -> Options:
    options = {**defaults, **given}
    backbone = dict(options.pop("backbone"))
    check_preset(options["preset"])
    recommended: Options = {}
    if options["preset"] is None:
        recommended = backbone_settings(backbone["pretrained"])
    if recommended.get("layers") is not None:
        backbone = {"layers": recommended["layers"], **backbone}
    known = _DiffusionModel(backbone)
    options |= teacher_options(options, recommended, lambda: known.native_size)
    known.check_timesteps(*timesteps_read(options["timestep"], options["timesteps"]))
    if options["timestep"] != "iep":
        options = {name: v for name, v in options.items() if name not in _OF_THE_SEARCH}
    return {**_with_tile(options), **known.describe()}


def _describe_vision_teacher(given: Options, defaults: Options) -> Options:
    from trace_mm.vision.loading import resolve_vision

    options = {**defaults, **given}
    backbone = dict(options.pop("backbone"))
    loader = "load_vision_backbone"
    _defaults(loader, read_signature("trace_mm.vision.loading", loader), backbone)
    source = resolve_vision(str(backbone["pretrained"]))
    if options["size"] is None:
        options["size"] = _native_tower_size(source)
    check_reading(options["size"], options["region_cell"], options["walk_steps"])
    described = {name: backbone.get(name) for name in ("layers", "random_weights")}
    part = backbone.get("part", "tower")
    described["part"] = None if part == "tower" else part
    described["dtype"] = _dtype_name(backbone.get("dtype", "float32"))
    described |= _weights(source, backbone.get("revision"))
    if backbone.get("checkpoint") is not None:
        described["checkpoint"] = file_fingerprint(Path(str(backbone["checkpoint"])).expanduser())
    return {**_with_tile(options), **_of_backbone(described)}


def _describe_student(given: Options, defaults: Options) -> Options:
    checkpoint = given.get("checkpoint")
    if checkpoint is None:
        raise ValueError("a student is untrained without a checkpoint: name one")
    description = read_description(checkpoint)
    trained = description["student"]
    options = {**defaults, **trained, **given}
    backbone = student_backbone(checkpoint, **options.pop("backbone", {}))
    known = _DiffusionModel({"dtype": trained_dtype(checkpoint), **backbone})
    options |= student_options(options, known)
    if options["timestep"] is not None:
        known.check_timesteps(options["timestep"])
    if options["decoder"] == trained["decoder"]:
        del options["decoder"]  # which the content tells
    options["checkpoint"] = None
    if check_calibration(options["calibration"]) == NOT_CALIBRATED:
        options["calibration"] = None
    if check_key_cell(options["key_cell"]) == 1:
        options["key_cell"] = None
    name = description["backbone"]["name"]
    content = {"student.content": student_fingerprint(checkpoint), "backbone.name": name}
    return {**_with_tile(options), **content, **known.describe()}


def _describe_other(given: Options, defaults: Options) -> Options:
    return {name: _identify(name, value) for name, value in {**defaults, **given}.items()}


def _with_tile(options: Options) -> Options:
    """Options with the side of tiles as it is; without their overlap, if there are none."""
    check_one_choice(options["object_size"], options["tile"])
    if options["size"] is not None:
        options["tile"] = tile_side(options["tile"], options["size"])
    if options["tile"] is None and options["object_size"] is None:
        options["tile_overlap"] = None
    return options


class _DiffusionModel:
    """A diffusion backbone of which only the configs are read, and only those in a folder.

    Args:
        options: of :func:`trace_mm.diffusion.load_backbone`.
    """

    def __init__(self, options: Options) -> None:
        loader = "load_backbone"
        _defaults(loader, read_signature("trace_mm.diffusion.loading", loader), options)
        self._options = options
        self._source = resolve_pretrained(options["pretrained"])
        self._opened = open_model(self._source) if Path(self._source).is_dir() else None

    @property
    def native_size(self) -> int | None:
        """The model's; None if only a hub could say it."""
        if self._opened is not None:
            return self._opened.native_size
        sizes = {entry.pretrained: entry.size for entry in CATALOGUE.values()}
        return sizes.get(self._source)

    @property
    def least_noisy_timestep(self) -> int | None:
        """The model's; None if only a hub could say it."""
        return None if self._opened is None else self._opened.least_noisy_timestep

    def check_timesteps(self, *timesteps: int) -> None:
        """Refuse what is no timestep of the model, if that is known."""
        if self._opened is not None:
            for timestep in timesteps:
                check_range(timestep, self._opened.timesteps)

    def describe(self) -> Options:
        """What the backbone's attention depends on."""
        options = self._options
        described = {name: options.get(name) for name in ("layers", "quantization")}
        described["dtype"] = _dtype_name(options.get("dtype", "float32"))
        described["prompts"] = _prompts(options.get("prompts"))
        described["variant"] = options.get("variant")
        if described["variant"] is None and self._opened is not None:
            described["variant"] = denoiser_variant(Path(self._source) / self._opened.folder)
        return _of_backbone({**described, **_weights(self._source, options.get("revision"))})


def _dtype_name(dtype: Any) -> str:
    """The usual name of a dtype for weights; torch is asked for the others."""
    if dtype in _DTYPES:
        return str(dtype)
    from trace_mm.ops.dtypes import as_dtype, dtype_name

    return dtype_name(as_dtype(dtype))


def _prompts(path: Any) -> str | None:
    """A file of prompts by its content, which is checked."""
    if path is None:
        return None
    from trace_mm.diffusion.prompts import Prompts  # imports torch

    return file_fingerprint(Prompts(path).path)


def _of_backbone(described: Options) -> Options:
    return {f"backbone.{name}": value for name, value in described.items() if value is not None}


def _weights(source: str, revision: str | None) -> Options:
    """A folder by its content, a model on a hub by its name."""
    folder = Path(source)
    if folder.is_dir():
        return {"content": weights_fingerprint(folder)}
    return {"pretrained": source, "revision": revision}


def _native_tower_size(source: str) -> int | None:
    """The native size of a vision tower in a folder; None of one that is elsewhere."""
    if source.startswith(TIMM_PREFIX) or not Path(source).is_dir():
        return None
    from trace_mm.vision.loading import tower_family

    try:
        family, config = tower_family(ModelFiles(source).read_json("config.json"))
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    return family.native_side(config)


def _identify(name: str, value: Any) -> Any:
    """An option of a model that is not known here: files and models by content."""
    if isinstance(value, Named):
        value = value.value()
    if isinstance(value, Mapping):
        kind = {"type": class_name(dict(value))} if "type" in value else {}
        parts = {key: _identify(key, part) for key, part in value.items()}
        kept = {k: part for k, part in parts.items() if k not in _OF_NO_PREDICTIONS}
        return {**kind, **{key: part for key, part in kept.items() if part is not None}}
    if isinstance(value, (list, tuple)):
        return [_identify(name, part) for part in value]
    if isinstance(value, (str, Path)) and str(value):
        return _identify_text(name, value)
    return value


def _identify_text(name: str, value: str | Path) -> Any:
    if name == "pretrained":
        value = resolve_pretrained(value)
    elif name in ("checkpoint", "student"):
        value = shipped_students().get(str(value), value)
    path = Path(value).expanduser()
    if path.is_file():
        return f"content {file_fingerprint(path)}"
    if not path.is_dir():
        return str(value)
    is_model = any((path / mark).is_file() for mark in _MODEL_MARKS)
    if is_model or next(path.glob("*.safetensors"), None) is not None:
        return f"content {weights_fingerprint(path)}"
    return str(absolute_path(path))


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Named):
        value = value.value()
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)
