"""What an object is, in a line that can be read, however much it holds."""

import reprlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields
from typing import Any

_SHOWN = 3  # items of a collection

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 120


class ShortRepr:
    """A dataclass (with ``repr=False``) whose ``repr`` tells how many items there are, and some.

    Examples:
        >>> from trace_mm.apis import FolderRunSummary
        >>> FolderRunSummary(done=["a", "b", "c", "d", "e"])
        FolderRunSummary(done=[5: 'a', 'b', 'c', ...], skipped=[], failed={}, ...)
    """

    def __repr__(self) -> str:
        parts = [
            f"{field.name}={_short(getattr(self, field.name))}"
            for field in fields(self)  # type: ignore[arg-type]
        ]
        return f"{type(self).__name__}({', '.join(parts)})"


def _short(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):  # an array or a tensor
        return f"<{value.dtype} {tuple(value.shape)}>"
    if isinstance(value, Mapping):
        items = [f"{_short(key)}: {_short(part)}" for key, part in _first(value.items())]
        return f"{{{_listed(items, len(value))}}}"
    if isinstance(value, (Sequence, Set)) and not isinstance(value, (str, bytes)):
        return f"[{_listed([_short(part) for part in _first(value)], len(value))}]"
    return _REPR.repr(value)


def _first(items: Any) -> list[Any]:
    return [item for _, item in zip(range(_SHOWN), items, strict=False)]


def _listed(shown: list[str], count: int) -> str:
    text = ", ".join(shown)
    return text if count <= _SHOWN else f"{count}: {text}, ..."
