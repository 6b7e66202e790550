"""A part of many images, chosen by their names: the same wherever and whenever it is chosen."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray


def choose_images(
    names: Iterable[str], limit: int | None, per_class: int | None, seed: int
) -> NDArray[np.int64]:
    """Choose images at random, but always the same.

    The images have an order that depends on nothing but their names and ``seed``. The first ones
    are chosen, so that a larger part holds a smaller one, and other images come and go without
    changing much.

    Args:
        names: of all images; a path's folder is its class.
        limit: how many to choose at most; None for all.
        per_class: how many of one class to choose at most, before ``limit`` counts; None for all.
        seed: of the order.

    Returns:
        Their numbers among ``names``, rising.

    Raises:
        ValueError: if a number is not positive.
    """
    for option, value in (("limit", limit), ("per_class", per_class)):
        if value is not None and value < 1:
            raise ValueError(f"{option} must be at least 1, got {value}")
    names = list(names)
    places = np.array([_place(name, seed) for name in names], np.uint64)
    order = np.argsort(places, kind="stable")
    if per_class is not None:
        taken: Counter[str] = Counter()
        kept = []
        for number in order.tolist():
            kind = str(PurePosixPath(names[number]).parent)
            if taken[kind] < per_class:
                taken[kind] += 1
                kept.append(number)
        order = np.array(kept, np.int64)
    return np.sort(order[:limit].astype(np.int64))


def _place(name: str, seed: int) -> int:
    """Where an image stands in the order: a number in [0, 2^64)."""
    text = f"{seed} {name}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
