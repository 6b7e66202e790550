"""The run lengths of Label Studio's brush: pixels of four channels, packed as bits.

The stream begins with the number of values (32 bits), the bits of a value less 1 (5), and four
sizes of a run's length, in bits less 1 (4 each). Then come blocks: a bit that says whether the
block is a run, two that say which of the sizes its length has, the length less 1, and the value.
"""

import numpy as np
from numpy.typing import NDArray

_SIZES = (4, 8, 12, 16)  # bits of a length
_LONGEST = 1 << _SIZES[-1]
_CHANNELS = 4  # red, green, blue, opacity: all are 255 where the brush was
_VALUE_BITS, _PAINT = 8, 255


def brush_rle(mask: NDArray[np.bool_]) -> list[int]:
    """A mask (H, W) as Label Studio's ``rle``: bytes as numbers."""
    flat = mask.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=~flat[:1]))  # of runs
    lengths = np.diff(starts, append=flat.size) * _CHANNELS
    parts = [f"{flat.size * _CHANNELS:032b}{_VALUE_BITS - 1:05b}"]
    parts += [f"{size - 1:04b}" for size in _SIZES]
    for inside, length in zip(flat[starts].tolist(), lengths.tolist(), strict=True):
        value = f"{_PAINT if inside else 0:0{_VALUE_BITS}b}"
        while length:
            piece = min(length, _LONGEST)
            which = next(index for index, size in enumerate(_SIZES) if piece <= 1 << size)
            parts.append(f"1{which:02b}{piece - 1:0{_SIZES[which]}b}{value}")
            length -= piece
    bits = np.frombuffer("".join(parts).encode("ascii"), dtype=np.uint8) - ord("0")
    return np.packbits(bits).tolist()
