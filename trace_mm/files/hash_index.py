"""Which things have a text, in little memory."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator

import numpy as np


class HashIndex:
    """Numbers of things by a text of each, at 16 bytes a thing.

    Only hashes are kept, so that texts are asked for again when they are compared. In another
    process texts have other hashes: a pickled index is made anew there.

    Args:
        count: how many things there are.
        text_of: the text of the thing of a number; always the same.
    """

    def __init__(self, count: int, text_of: Callable[[int], str]) -> None:
        self._text_of = text_of
        hashes = np.fromiter((hash(text_of(number)) for number in range(count)), np.int64, count)
        order = np.argsort(hashes, kind="stable")
        self._hashes = array("q", hashes[order].tobytes())
        self._numbers = array("q", order.astype(np.int64).tobytes())

    def __reduce__(self) -> tuple[type["HashIndex"], tuple[int, Callable[[int], str]]]:
        return HashIndex, (len(self._numbers), self._text_of)

    def find(self, text: str) -> Iterator[int]:
        """The numbers of the things that have a text, rising."""
        wanted = hash(text)
        for place in range(bisect_left(self._hashes, wanted), len(self._hashes)):
            if self._hashes[place] != wanted:
                return
            if self._text_of(self._numbers[place]) == text:
                yield self._numbers[place]
