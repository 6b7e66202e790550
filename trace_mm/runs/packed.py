"""Many strings in little memory."""

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, overload


class PackedStrings(Sequence[str]):
    """A sequence of strings in one block of bytes, at 8 bytes a string besides its text.

    Equal to a list of the same strings. Undecodable bytes of file names survive as surrogates.

    Args:
        texts: the strings, in their order.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._text = bytearray()
        self._ends = array("Q")
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """Add a string at the end."""
        self._text += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._text))

    def digest(self) -> bytes:
        """What differs for other strings."""
        return hashlib.sha256(self._ends.tobytes() + self._text).digest()

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "PackedStrings": ...
    def __getitem__(self, index: int | slice) -> "str | PackedStrings":
        if isinstance(index, slice):
            return PackedStrings(self[number] for number in range(*index.indices(len(self))))
        number = range(len(self))[index]
        start = self._ends[number - 1] if number else 0
        return self._text[start : self._ends[number]].decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        return (self[number] for number in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PackedStrings):
            return self._text == other._text and self._ends == other._ends
        if isinstance(other, list):
            return len(self) == len(other) and all(map(str.__eq__, self, other))
        return NotImplemented

    __hash__: Any = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"


def divided(
    names: Iterable[str], waiting: Iterable[int], failed: Container[str]
) -> tuple[PackedStrings, PackedStrings]:
    """What a run has done, and what it found done.

    Args:
        names: of all items.
        waiting: numbers of those that were to be done, rising.
        failed: names of those that failed.
    """
    done, skipped, numbers = PackedStrings(), PackedStrings(), iter(waiting)
    following = next(numbers, None)
    for number, name in enumerate(names):
        if number != following:
            skipped.append(name)
            continue
        following = next(numbers, None)
        if name not in failed:
            done.append(name)
    return done, skipped


class Keys(PackedStrings):
    """Different strings in rising order, among which one is found quickly.

    Args:
        keys: in rising order.

    Raises:
        ValueError: if they are not, or one repeats; names it.
    """

    _last = ""

    def append(self, text: str) -> None:
        """Add a key, which must come after all that are there."""
        if text <= self._last and len(self):
            raise ValueError(f"{text!r} does not come after {self._last!r}")
        super().append(text)
        self._last = text

    def find(self, key: str, expected: int = 0) -> int | None:
        """The number of a key; None if it is not there.

        Args:
            key: to be found.
            expected: where it is looked for first.
        """
        if expected < len(self) and self[expected] == key:
            return expected
        number = bisect_left(self, key)
        return number if number < len(self) and self[number] == key else None


def sorted_keys(texts: Sequence[str]) -> tuple[Keys, "array[int]"]:
    """Strings as keys, each once.

    Args:
        texts: in any order.

    Returns:
        The keys, and the place of each among ``texts``, the first if it repeats.
    """
    keys, places = Keys(), array("Q")
    last = None
    for number in rising(texts):
        text = texts[number]
        if text != last:
            keys.append(text)
            places.append(number)
            last = text
    return keys, places


def rising(texts: Sequence[str]) -> Sequence[int]:
    """The numbers of strings, in the order of these; equal ones stay as they are."""
    numbers = range(len(texts))
    if all(one <= following for one, following in pairwise(texts)):
        return numbers
    return sorted(numbers, key=texts.__getitem__)
