"""Modules and names that are imported when they are asked for: what is not used costs nothing."""

import ast
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any


def lazy_exports(package: str) -> Callable[[str], Any]:
    """A package's ``__getattr__`` (PEP 562), which imports a name from where the package says.

    What the package's ``__init__`` imports under ``if TYPE_CHECKING:``, as type checkers see it, is
    what it exports at run time, each name with its first use.

    Args:
        package: its name; it is being imported.
    """
    module = sys.modules[package]
    module.__class__ = _LazyPackage
    homes = export_homes(package)

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(homes[name]), name)
        setattr(module, name, value)
        return value

    return get


class _LazyPackage(ModuleType):
    """A package in which a name is what is exported, also if a module of it is called the same.

    Python gives a package each of its modules once that is imported, which would hide a function
    of that name.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        is_module = isinstance(value, ModuleType)
        if is_module and export_homes(self.__name__).get(name) == value.__name__:
            value = getattr(value, name)
        super().__setattr__(name, value)


@cache
def export_homes(package: str) -> dict[str, str]:
    """The module that each name is in which a package exports by :func:`lazy_exports`."""
    module = sys.modules.get(package) or import_module(package)
    loader: Any = module.__spec__.loader if module.__spec__ is not None else None
    return _imports_for_type_checkers(loader.get_source(package))


def lazy_module(name: str) -> Any:
    """Stands for a module, which is imported when something of it is used.

    For what must be quick to import and needs torch only once there is something to compute.
    Beside ``if TYPE_CHECKING: import ...``, so that type checkers see the module itself.
    """
    return _LazyModule(name)


class _LazyModule:
    """See :func:`lazy_module`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)


def _imports_for_type_checkers(source: str) -> dict[str, str]:
    """The module that each name is imported from, under ``if TYPE_CHECKING:``."""
    return {
        alias.name: line.module
        for block in ast.parse(source).body
        if isinstance(block, ast.If)
        and isinstance(block.test, ast.Name)
        and block.test.id == "TYPE_CHECKING"
        for line in block.body
        if isinstance(line, ast.ImportFrom) and line.module is not None
        for alias in line.names
    }
