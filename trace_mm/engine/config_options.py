"""Settings of a command line for a config: each takes effect, or is refused with what was meant."""

import ast
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, TypeGuard

import mmengine
from mmengine.config import Config, config
from mmengine.config.utils import RemoveAssignFromAST
from mmengine.registry import Registry

from trace_mm import registry
from trace_mm.files.shipped_configs import base_file, read_config_file
from trace_mm.signatures import read_signature

# What a runner and set_launcher() read beside the arguments of the runner's class.
_OF_RUNS = {
    "compile",
    "custom_imports",
    "find_unused_parameters",
    "model_wrapper_cfg",
    "runner_type",
    "strategy",
}
# Settings of registered classes that MMEngine takes before it builds them.
_OF_BUILDERS = {"type", "constructor", "convert_to_iter_based", "optimizer", "paramwise_cfg"}
_OF_BUILDERS |= {"priority", "_scope_", "_delete_"}
_RENAMED = {"student": "edges"}  # settings that had other names once
_BACKBONES = (
    ("trace_mm.diffusion.loading", "load_backbone"),
    ("trace_mm.vision.loading", "load_vision_backbone"),
)
# Names, or the functions whose arguments they are.
_OF_PARTS: dict[str, set[str] | tuple[tuple[str, str], ...]] = {
    "auto_scale_lr": {"enable", "base_batch_size", "iterations"},
    "backbone": _BACKBONES,
    "env_cfg": {"cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"},
    "lora": (("trace_mm.models.lora", "add_lora"),),
    "randomness": {"seed", "deterministic", "diff_rank_seed"},
}


class ConfigOptionError(ValueError):
    """A setting that would have no effect."""


def read_with_options(path: str, options: Mapping[str, Any], own: Collection[str] = ()) -> Config:
    """A config file with settings, where a name that the file defines is set wherever it is used.

    Args:
        path: the file.
        options: values by dotted name.
        own: names that the caller reads in the config.

    Raises:
        ConfigOptionError: if a setting would have no effect; says what may have been meant.
    """
    plain = read_config_file(path)

    def known() -> set[str]:
        return {*plain.keys(), *own, *_run_settings()}

    variables = {name: value for name, value in options.items() if "." not in name}
    for name in variables:
        if name not in plain and name not in known():
            raise _unknown(path, plain, name, "", known())
    cfg = plain
    if variables:
        with _variables_set({**variables, **_names_in_bases(path, variables)}):
            cfg = read_config_file(path)
    for name, value in variables.items():
        if (
            value != plain.get(name)
            and _others(cfg, name) == _others(plain, name)
            and name not in {*own, *_run_settings()}
        ):
            raise ConfigOptionError(
                f"{path}: nothing in this config uses {name}{_meant(plain, name)}"
            )
    for name in options:
        _check_path(path, cfg, name, known)
    cfg.merge_from_dict(dict(options))
    return cfg


def _names_in_bases(path: str | Path, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Values of names of bases that a file takes over by another: ``data_root = _base_.root``."""
    found: dict[str, Any] = {}
    for node in ast.parse(Path(path).read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=(
                    ast.Attribute(value=ast.Name(id="_base_"), attr=other)
                    | ast.Set(  # MMEngine's {{_base_.other}}
                        elts=[ast.Set(elts=[ast.Attribute(ast.Name(id="_base_"), attr=other)])]
                    )
                ),
            ) if name in variables:
                found[other] = variables[name]
    for base in Config._get_base_files(str(path)):
        file = base_file(base, path)
        if file.is_file():  # else of another package
            found |= _names_in_bases(file, {**variables, **found})
    return found


def _others(cfg: Config, name: str) -> dict[str, Any]:
    """All of a config but one name."""
    return {key: value for key, value in cfg.to_dict().items() if key != name}


@cache
def _run_settings() -> frozenset[str]:
    """What a run is set by; MMEngine's part from its source, as importing it takes seconds."""
    source = Path(mmengine.__file__).parent / "runner" / "runner.py"
    classes = {
        node.name: node
        for node in ast.parse(source.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    }
    functions = {
        node.name: node for node in classes["Runner"].body if isinstance(node, ast.FunctionDef)
    }
    arguments = {argument.arg for argument in functions["__init__"].args.args}
    return frozenset({*arguments, *_OF_RUNS} - {"self", "cfg"})


class _SetVariables(RemoveAssignFromAST):
    """Gives names of a config file and its bases other values, before the files are run."""

    values: Mapping[str, Any]

    def visit_Assign(self, node: ast.Assign) -> Any:
        kept = super().visit_Assign(node)
        return None if kept is None else self._and_set(node, node.targets)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        return self._and_set(node, [node.target])

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        return self._and_set(node, [node.target])

    def _and_set(self, node: ast.stmt, targets: list[ast.expr]) -> list[ast.stmt]:
        """A statement, and after it one for each of its names that has another value."""
        names = {one.id for target in targets for one in ast.walk(target) if _is_stored(one)}
        lines = [f"{name} = {self.values[name]!r}" for name in sorted(names & self.values.keys())]
        return [node, *ast.parse("\n".join(lines)).body]

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        return node  # its names are its own


def _is_stored(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


@contextmanager
def _variables_set(values: Mapping[str, Any]) -> Iterator[None]:
    """Within this context, config files are read with these values of their names."""
    before = config.RemoveAssignFromAST
    config.RemoveAssignFromAST = type("_Set", (_SetVariables,), {"values": values})
    try:
        yield
    finally:
        config.RemoveAssignFromAST = before


def _check_path(path: str, cfg: Config, name: str, known: Callable[[], Collection[str]]) -> None:
    """Refuse a dotted name that leads nowhere.

    Raises:
        ConfigOptionError: with what may have been meant.
    """
    parts = name.split(".")
    node: Any = cfg._cfg_dict
    for number, part in enumerate(parts):
        above = ".".join(parts[:number])
        if isinstance(node, (list, tuple)):
            if not part.isdigit() or int(part) >= len(node):
                raise ConfigOptionError(
                    f"{path}: {above} has items 0 to {len(node) - 1}, not {part}"
                )
            node = node[int(part)]
        elif not isinstance(node, dict):
            raise ConfigOptionError(f"{path}: {above} is {node!r}: it has no {part}")
        elif part in node:
            node = node[part]
        else:
            names = known() if not above else _names_of(node, parts[number - 1], cfg)
            likely = part not in names if names is not None else _is_like(part, node)
            if likely:
                raise _unknown(path, cfg, part, above, names or set(node))
            return  # a new one, with all below it


def _names_of(node: Mapping[str, Any], part: str, cfg: Config) -> set[str] | None:
    """What a part of a config may hold; None if that is not known."""
    if "type" in node:
        names = _arguments(_class_of(node["type"], str(cfg.get("default_scope", "trace_mm"))))
        return None if names is None else {*names, *node, *_OF_BUILDERS}
    accepted = _OF_PARTS.get(part)
    if isinstance(accepted, tuple):
        accepted = {name for one in accepted for name in read_signature(*one).parameters}
    return None if accepted is None else {*accepted, *node}


def _class_of(kind: Any, scope: str) -> Any:
    """The registered class of a config's type; None if there is none."""
    if not isinstance(kind, str):
        return kind
    for one in vars(registry).values():
        if isinstance(one, Registry) and one.scope == "trace_mm":
            name = kind if "." in kind or scope == "trace_mm" else f"{scope}.{kind}"
            try:
                found = one.get(name)
            except (ImportError, KeyError):
                continue
            if found is not None:
                return found
    return None


def _arguments(kind: Any) -> set[str] | None:
    """The arguments of a class; None if they are not known."""
    if not inspect.isclass(kind):
        given = inspect.signature(kind).parameters if callable(kind) else {}
        open_ended = any(one.kind is one.VAR_KEYWORD for one in given.values())
        return None if open_ended or not given else set(given)
    names: set[str] = set()
    for base in kind.__mro__[:-1]:
        if "__init__" in vars(base):
            parameters = inspect.signature(vars(base)["__init__"]).parameters
            names |= parameters.keys()
            if all(one.kind is not one.VAR_KEYWORD for one in parameters.values()):
                return names
    return None


def _is_like(name: str, others: Collection[str]) -> bool:
    return bool(get_close_matches(name, list(others), n=1, cutoff=0.8))


def _unknown(
    path: str, cfg: Config, name: str, above: str, names: Collection[str]
) -> ConfigOptionError:
    prefix = f"{above}." if above else ""
    near = get_close_matches(name, sorted(names), n=1)
    if not above and _RENAMED.get(name) in cfg:
        near = [_RENAMED[name]]
    hint = f": did you mean {prefix}{near[0]}?" if near else _meant(cfg, name)
    return ConfigOptionError(f"{path}: there is no setting {prefix}{name}{hint}")


def _meant(cfg: Config, name: str) -> str:
    """Settings of that name elsewhere in a config."""
    places = [
        key for key in _paths(cfg.to_dict()) if key.rpartition(".")[2] == name and key != name
    ]
    return f": did you mean {' or '.join(places[:3])}?" if places else ""


def _paths(node: Any, above: str = "") -> Iterator[str]:
    pairs: Iterable[tuple[Any, Any]] = node.items() if isinstance(node, dict) else ()
    pairs = enumerate(node) if isinstance(node, (list, tuple)) else pairs
    for name, value in pairs:
        yield f"{above}{name}"
        yield from _paths(value, f"{above}{name}.")
