"""What other packages add to a registry: classes that they register, or declare as entry points.

A package declares classes by name in its ``pyproject.toml``, as in
``[project.entry-points."trace_mm.mask_readers"]``, and is imported when one of them is asked for. A
module that a config names in ``custom_imports`` registers its classes as it is imported.
"""

import inspect
from collections import defaultdict
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Plugins(Generic[T]):
    """Classes by name: the project's own, and those that other packages add.

    Args:
        own: the project's classes; they are registered.
        registry: MMEngine's, where others register theirs.
        group: of the entry points that declare classes, such as ``trace_mm.mask_readers``.
        base: what each class derives from.
        kind: what messages call one, such as "mask reader".
    """

    def __init__(
        self, own: Mapping[str, type[T]], registry: Any, group: str, base: type[Any], kind: str
    ) -> None:
        self.own, self.group, self.base, self.kind = own, group, base, kind
        self._registry = registry
        for name, found in own.items():
            registry.register_module(name=name, module=found)

    def names(self) -> list[str]:
        """All names, the project's own first. Imports no package."""
        return list(dict.fromkeys([*self._registry.module_dict, *sorted(self._declared())]))

    def get(self, name: str) -> type[T]:
        """The class of a name; its package is imported if need be.

        Raises:
            ValueError: if there is none, its package cannot be imported, or it is of another kind;
                names the package.
        """
        found = self._registry.module_dict.get(name)
        if found is not None:
            return self._checked(
                found, f"{self.kind} {name!r}: {found.__module__}.{found.__name__}"
            )
        declared = self._declared().get(name)
        if declared is None:
            raise ValueError(f"there is no {self.kind} {name!r}, only {', '.join(self.names())}")
        return self._load(name, declared)

    def added(self, tell: Callable[[str], None]) -> dict[str, type[T]]:
        """The classes that others have added, by name; their packages are imported.

        A class that is registered by one name and declared by another is there once.

        Args:
            tell: given a line for each class that cannot be used.
        """
        for name, declared in sorted(self._declared().items()):
            if name in self.own:
                tell(f"{self.kind} {name!r} of {_packages(declared)}: trace_mm's own has this name")
                continue
            self._usable(name, tell)
        added = [name for name in self._registry.module_dict if name not in self.own]
        found = {self._usable(name, tell): name for name in added}
        return {name: kind for kind, name in found.items() if kind is not None}

    def _usable(self, name: str, tell: Callable[[str], None]) -> type[T] | None:
        try:
            return self.get(name)
        except ValueError as error:
            tell(str(error))
            return None

    def _declared(self) -> dict[str, list[EntryPoint]]:
        """The entry points of each name: one, unless packages contend for it."""
        declared: dict[str, list[EntryPoint]] = defaultdict(list)
        for entry in entry_points(group=self.group):
            declared[entry.name].append(entry)
        return dict(declared)

    def _load(self, name: str, declared: list[EntryPoint]) -> type[T]:
        """Import the class of an entry point, and register it by the entry point's name."""
        where = f"{self.kind} {name!r} of {_packages(declared)}"
        if len(declared) > 1:
            raise ValueError(f"{where}: only one package can declare it")
        (entry,) = declared
        try:
            found = entry.load()
        except Exception as error:  # a package's import may raise anything
            cause = " ".join(f"{type(error).__name__}: {error}".split())
            raise ValueError(f"{where}: {entry.value} cannot be imported: {cause}") from error
        self._checked(found, f"{where}: {entry.value}")
        if name not in self._registry.module_dict:  # importing it may have done so
            self._registry.register_module(name=name, module=found)
        return self._registry.module_dict[name]

    def _checked(self, found: Any, where: str) -> type[T]:
        """A class, if it is of the kind and complete.

        Raises:
            ValueError: if it is not.
        """
        if not (isinstance(found, type) and issubclass(found, self.base)):
            raise ValueError(f"{where} is no class that derives from {self.base.__name__}")
        if inspect.isabstract(found):
            missing = sorted(vars(found)["__abstractmethods__"])
            raise ValueError(f"{where} does not define {', '.join(missing)}")
        return found


def _packages(declared: list[EntryPoint]) -> str:
    """What the packages of some entry points are called."""
    names = sorted(entry.dist.name if entry.dist is not None else "?" for entry in declared)
    return f"package{'s' if len(names) > 1 else ''} {' and '.join(names)}"
