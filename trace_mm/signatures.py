"""Signatures of classes and functions as their source has them: importing some takes seconds."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.resources import files
from operator import attrgetter
from typing import Any


@dataclass(frozen=True)
class Named:
    """A default that the source names, such as ``torch.float32``.

    Attributes:
        module: where the name is known.
        name: a name, or a path of names with dots between them.
    """

    module: str
    name: str

    def value(self) -> Any:
        """The default; its module is imported."""
        return attrgetter(self.name)(import_module(self.module))


def read_definition(module: str, name: str) -> ast.ClassDef | ast.FunctionDef:
    """The source of a class or function of this package.

    Raises:
        LookupError: if the module does not define it.
    """
    for node in _tree(module).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
            return node
    raise LookupError(f"{module} does not define {name}")


def read_arguments(definition: ast.ClassDef | ast.FunctionDef) -> ast.arguments:
    """What a function takes, or a class at its making, without ``self``.

    Raises:
        LookupError: if the class has no ``__init__`` of its own.
    """
    if isinstance(definition, ast.FunctionDef):
        return definition.args
    for node in definition.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            arguments = node.args
            return ast.arguments(**{**dict(ast.iter_fields(arguments)), "args": arguments.args[1:]})
    raise LookupError(f"{definition.name} has no __init__ of its own")


def with_defaults(arguments: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    """Arguments that can be given by name, each with its default."""
    none = [None] * (len(arguments.args) - len(arguments.defaults))
    defaults = [*none, *arguments.defaults, *arguments.kw_defaults]
    return zip([*arguments.args, *arguments.kwonlyargs], defaults, strict=True)


def read_signature(module: str, name: str) -> inspect.Signature:
    """The signature of a class or function of this package, which is not imported.

    Returns:
        As ``inspect.signature``, but without annotations, and with :class:`Named` for defaults that
        are no literals.

    Raises:
        LookupError: if the module does not define it.
        ValueError: if a default is neither a literal nor a name.
    """
    arguments = read_arguments(read_definition(module, name))
    required = inspect.Parameter.empty
    parameters = [
        inspect.Parameter(
            argument.arg,
            inspect.Parameter.KEYWORD_ONLY,
            default=required if default is None else _default(module, default),
        )
        for argument, default in with_defaults(arguments)
    ]
    if arguments.kwarg is not None:
        any_name = inspect.Parameter.VAR_KEYWORD
        parameters.append(inspect.Parameter(arguments.kwarg.arg, any_name))
    return inspect.Signature(parameters)


def _default(module: str, source: ast.expr) -> Any:
    if isinstance(source, (ast.Name, ast.Attribute)):
        return Named(module, ast.unparse(source))
    return ast.literal_eval(source)


@cache
def _tree(module: str) -> ast.Module:
    package, *folders, name = module.split(".")
    path = files(package).joinpath(*folders, f"{name}.py")
    return ast.parse(path.read_text(encoding="utf-8"))
