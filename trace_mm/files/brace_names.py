"""Many names written as one: ``shards/{000000..000999}.tar``, as shells and WebDataset do."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import overload

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)(?:\.\.(-?\d+))?")


def has_braces(pattern: str) -> bool:
    """Whether it stands for several names: holds a range ``{a..b}`` or a list ``{a,b}``."""
    return any("," in part or _RANGE.fullmatch(part) for part in _BRACES.findall(pattern))


class BraceNames(Sequence[str]):
    """The names that a pattern with ranges and lists in braces stands for; none is held.

    Ranges count up or down, ``{0..8..2}`` in steps; where an end has leading zeros, all numbers are
    padded to the longer end. The last braces change fastest. Other braces are part of the name.

    Args:
        pattern: a path or address.

    Raises:
        ValueError: if braces stand within braces, a list names something twice, a range has a step
            of 0, or there are too many names to be counted; names the pattern.

    Examples:
        >>> names = BraceNames("s3://bucket/{train,val}/{000..999}.tar")
        >>> len(names), names[1], names[-1]
        (2000, 's3://bucket/train/001.tar', 's3://bucket/val/999.tar')
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._parts = list(_parts(pattern))
        try:
            self._length = math.prod(len(part) for part in self._parts)
            len(range(self._length))
        except OverflowError:
            raise ValueError(f"{pattern}: stands for too many names to be counted") from None

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        """A name, or those of a slice as a list."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        rest = range(len(self))[index]
        chosen = []
        for part in reversed(self._parts):
            rest, number = divmod(rest, len(part))
            chosen.append(part[number])
        return "".join(reversed(chosen))

    def __iter__(self) -> Iterator[str]:
        return (self[number] for number in range(len(self)))

    def __repr__(self) -> str:
        return f"BraceNames({self.pattern!r})"


class _Numbers(Sequence[str]):
    """The numbers of a range, padded with zeros to a width."""

    def __init__(self, numbers: range, width: int) -> None:
        self._numbers = numbers
        self._width = width

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return f"{self._numbers[index]:0{self._width}d}"


def _parts(pattern: str) -> Iterator[Sequence[str]]:
    """What may stand at each place of the name, one after the other."""
    depth = 0
    for character in pattern:
        depth = max(0, depth + {"{": 1, "}": -1}.get(character, 0))
        if depth > 1:
            raise ValueError(f"{pattern}: braces within braces; write out the outer ones")
    for number, piece in enumerate(_BRACES.split(pattern)):
        yield [piece] if number % 2 == 0 else _choices(piece, pattern)


def _choices(content: str, pattern: str) -> Sequence[str]:
    """What braces with this content stand for."""
    if match := _RANGE.fullmatch(content):
        first, last, step = match[1], match[2], abs(int(match[3] or 1))
        if step == 0:
            raise ValueError(f"{pattern}: the range {{{content}}} has a step of 0")
        direction = 1 if int(first) <= int(last) else -1
        numbers = range(int(first), int(last) + direction, direction * step)
        padded = any(re.match(r"-?0\d", end) for end in (first, last))
        return _Numbers(numbers, max(len(first), len(last)) if padded else 0)
    if "," not in content:
        return [f"{{{content}}}"]
    names = content.split(",")
    if len(set(names)) < len(names):
        raise ValueError(f"{pattern}: {{{content}}} names something twice")
    return names
