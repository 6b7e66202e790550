"""From what a user calls a model to the config that builds it, and to what identifies it."""

import copy
import inspect
import os
from pathlib import Path
from typing import Any

from mmengine.config import Config

from trace_mm import __version__
from trace_mm.diffusion import resolve_pretrained, shipped_models, weights_fingerprint


def teacher_config(
    model: str | os.PathLike[str] | dict[str, Any] | Config | None,
    dtype: str | None = None,
    options: dict[str, Any] | None = None,
) -> Config:
    """The config of a model.

    Args:
        model: see :class:`trace_mm.apis.TraceInferencer`.
        dtype: of the denoiser; None leaves it as it is.
        options: arguments of the model, which replace those of a config.

    Returns:
        A config with ``model``, resolved and independent of the argument.

    Raises:
        FileNotFoundError: if there is no such model.
        ValueError: if a config file cannot be read or a config has no model.
        TypeError: if ``model`` is of another type.
    """
    if model is None:
        shipped = shipped_models()
        if not shipped:
            raise FileNotFoundError("no model is shipped with this installation: name one")
        model = next(iter(shipped))
    if isinstance(model, (str, os.PathLike)):
        config = _named_config(os.fspath(model))
    elif isinstance(model, dict):  # mmengine's Config is not a dict
        config = Config(copy.deepcopy(dict(model if "model" in model else {"model": model})))
    elif isinstance(model, Config):
        config = copy.deepcopy(model)
    else:
        raise TypeError(f"model must be a name, path, dict or Config, got {type(model).__name__}")
    if not isinstance(config.get("model"), dict) or "type" not in config.model:
        raise ValueError("a config must hold model = dict(type=...)")
    config.model.update(options or {})
    if "backbone" in config.model:
        backbone = config.model.backbone
        backbone["pretrained"] = resolve_pretrained(backbone["pretrained"])
        if dtype is not None:
            backbone["dtype"] = dtype
    elif dtype is not None:
        raise ValueError(f"model {config.model.type} has no dtype to set")
    return config


def _named_config(name: str) -> Config:
    path = Path(name).expanduser()
    if path.is_file():
        if path.suffix not in {".py", ".json", ".yaml", ".yml"}:
            raise ValueError(f"{path}: a model is a config file, a folder or a name")
        try:
            return Config.fromfile(str(path))
        except Exception as error:  # a config is code, so it can raise anything
            raise ValueError(f"{path}: cannot read this config: {error}") from error
    resolve_pretrained(name)
    return Config({"model": {"type": "TraceTeacher", "backbone": {"pretrained": name}}})


def run_settings(model: Any, config: dict[str, Any]) -> dict[str, Any]:
    """What identifies a model and its options, as JSON values.

    Options count as they are in the model, so that a default and the same value given are equal.
    Local weights are identified by their content, so that a folder may move, and that replaced
    weights are noticed.

    Args:
        model: as built.
        config: that it was built from.
    """
    settings: dict[str, Any] = {"version": __version__, "model": type(model).__name__}
    for name in inspect.signature(type(model)).parameters:
        if name not in {"backbone", "data_preprocessor"} and hasattr(model, name):
            settings[name] = _plain(getattr(model, name))
    if "backbone" in config:
        backbone = {"dtype": "float32", **config["backbone"]}
        settings.update({f"backbone.{name}": _plain(part) for name, part in backbone.items()})
        folder = Path(str(backbone["pretrained"]))
        if folder.is_dir():
            settings["backbone.pretrained"] = folder.name
            settings["backbone.content"] = weights_fingerprint(folder)
    return settings


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)
