"""Thinning of many masks of one image at once, a bit of a word for each.

A soft map that is cut at T thresholds gives T masks that differ little. Guo and Hall's rule for a
pixel is a formula of the eight pixels around it, so 64 masks are thinned by the same operations on
64-bit words, and only where the map reaches the lowest threshold.
"""

import functools

import numpy as np

_WORD = 64
# Pixels looked at in one go: few enough for a processor's cache.
_PIXELS_PER_CHUNK = 1 << 13
# Against the clock from the east; (dy, dx) with y down.
_NEIGHBORS = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
# The neighbours that decide on which side of a line either sub-iteration peels.
_FIRST, _SECOND = (1, 2, 7, 0), (5, 6, 3, 4)


def pack_levels(levels: np.ndarray, masks: int) -> np.ndarray:
    """Words of nested masks, where a pixel of level n is in the masks 0 to n - 1.

    Args:
        levels: int (P,) in 0 to ``masks``.
        masks: how many there are.

    Returns:
        uint64 (P, W): bit b of word w is set where the pixel is in mask 64 w + b.
    """
    in_mask = np.arange(masks) < np.arange(masks + 1)[:, None]  # (masks + 1, masks)
    padded = np.pad(in_mask, ((0, 0), (0, -masks % _WORD)))
    table = np.packbits(padded, axis=1, bitorder="little").view("<u8").astype(np.uint64)
    return table[levels]


def unpack(words: np.ndarray, masks: int) -> np.ndarray:
    """Masks bool (P, masks) of words (P, W); see ``pack_levels``."""
    octets = np.ascontiguousarray(words, dtype="<u8").view(np.uint8)  # (P, 8 W)
    return np.unpackbits(octets, axis=1, count=masks, bitorder="little").view(bool)


def thin_packed(words: np.ndarray, pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Thin all masks; see ``trace_mm.ops.thin`` for what is done with each.

    Args:
        words: uint64 (P, W) of the P pixels that are in any mask.
        pixels: int (P,), their positions in the flattened image, no two equal.
        shape: (H, W') of the image.

    Returns:
        uint64 (P, W): bits of the pixels that stay.
    """
    around = _neighbor_table(pixels, shape)  # (8, P)
    current = np.concatenate([words, np.zeros_like(words[:1])])  # (P + 1, W)
    active = np.arange(len(pixels))
    # Where something has gone in the last two sub-iterations: only beside that can more go.
    gone = [active, active]
    side, other = _FIRST, _SECOND
    while len(active):
        before = current.take(active, axis=0)  # (n, W)
        after = before.copy()
        for start in range(0, len(active), _PIXELS_PER_CHUNK):
            chunk = slice(start, start + _PIXELS_PER_CHUNK)
            ring = [current.take(there.take(active[chunk]), axis=0) for there in around]
            after[chunk] &= ~_removable(ring, side)
        current[active] = after
        gone = [gone[1], active[_any_bit(before ^ after)]]
        active = _beside(gone, around, current)
        side, other = other, side
    return current[:-1]


def _neighbor_table(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Which pixel is in each direction of each, int (8, P); P where there is none."""
    width = shape[1] + 2
    index = np.full((shape[0] + 2) * width, len(pixels), dtype=np.intp)
    rows, columns = np.divmod(pixels, shape[1])
    places = (rows + 1) * width + columns + 1  # in an image with a rim of one pixel
    index[places] = np.arange(len(pixels))
    return np.stack([index[places + dy * width + dx] for dy, dx in _NEIGHBORS])


def _beside(gone: list[np.ndarray], around: np.ndarray, current: np.ndarray) -> np.ndarray:
    """Pixels that are in any mask yet, and beside one of those, rising."""
    pixels = np.concatenate(gone)
    beside = np.zeros(len(current), dtype=bool)
    for there in around:
        beside[there.take(pixels)] = True
    beside[-1] = False
    active = np.flatnonzero(beside)
    return active[_any_bit(current.take(active, axis=0))]


def _any_bit(words: np.ndarray) -> np.ndarray:
    """Which pixels have a bit in words (P, W); faster than ``any`` for so few words."""
    return functools.reduce(np.bitwise_or, words.T) != 0


def _removable(ring: list[np.ndarray], side: tuple[int, int, int, int]) -> np.ndarray:
    """Where one of the two sub-iterations takes a pixel away; words like those of its neighbours.

    A pixel goes if it is simple (one crossing), neither an end nor inside (two or three pairs), and
    on the side that this sub-iteration peels.
    """
    odd = [ring[i] | ring[i + 1] for i in (0, 2, 4, 6)]
    even = [ring[i + 1] | ring[(i + 2) % 8] for i in (0, 2, 4, 6)]
    a, b, c, d = (~ring[i] & pair for i, pair in zip((0, 2, 4, 6), even, strict=True))
    one_crossing = (a ^ b ^ c ^ d) & ~((a & b) | (c & d))
    inside = odd[0] & odd[1] & odd[2] & odd[3] & even[0] & even[1] & even[2] & even[3]
    one, other, opposite, middle = (ring[i] for i in side)
    kept_side = (one | other | ~opposite) & middle
    return one_crossing & _at_least_two(odd) & _at_least_two(even) & ~inside & ~kept_side


def _at_least_two(words: list[np.ndarray]) -> np.ndarray:
    a, b, c, d = words
    return (a & b) | (c & d) | ((a | b) & (c | d))
