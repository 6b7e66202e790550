"""HEIC photos, as telephones take them, which need the extra ``heif``; and AVIF, which do not."""

import functools
import struct

_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"}
_ANY_BRANDS = {b"mif1", b"msf1"}  # of the container, whatever the images in it are
_AVIF_BRANDS = {b"avif", b"avis"}  # Pillow reads those itself


def is_heif(data: bytes) -> bool:
    """Whether the bytes of a file begin as those of a HEIC or HEIF image do."""
    brands = _brands(data)
    return bool(brands & _HEIF_BRANDS) or bool(brands & _ANY_BRANDS and not brands & _AVIF_BRANDS)


def is_avif(data: bytes) -> bool:
    """Whether the bytes of a file begin as those of an AVIF image do."""
    return not is_heif(data) and bool(_brands(data) & _AVIF_BRANDS)


def _brands(data: bytes) -> set[bytes]:
    if data[4:8] != b"ftyp":
        return set()
    (length,) = struct.unpack_from(">I", data)
    box = data[: min(length, len(data))]
    return {box[8:12], *(box[start : start + 4] for start in range(16, len(box) - 3, 4))}


def register_heif(name: str) -> None:
    """Teach Pillow to read HEIF files.

    It turns them upright while it decodes them, as the format says, so that no orientation is left.

    Raises:
        ValueError: if the package for it is missing; names the file and the package.
    """
    try:
        _register()
    except ImportError:
        raise ValueError(
            f"{name}: HEIC photos are read by pillow-heif, which is not installed: "
            "pip install pillow-heif, or the extra trace_mm[heif]"
        ) from None


@functools.cache
def _register() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
