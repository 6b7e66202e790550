"""Packages whose names are imported when they are asked for: what is not used costs nothing."""

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazy_exports(package: str) -> Callable[[str], Any]:
    """A package's ``__getattr__`` (PEP 562), which imports a name from where the package says.

    What the package's ``__init__`` imports under ``if TYPE_CHECKING:``, as type checkers see it, is
    what it exports at run time, each name with its first use.

    Args:
        package: its name; it is being imported.
    """
    module = sys.modules[package]
    loader: Any = module.__spec__.loader if module.__spec__ is not None else None
    homes = _imports_for_type_checkers(loader.get_source(package))

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(homes[name]), name)
        setattr(module, name, value)
        return value

    return get


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
