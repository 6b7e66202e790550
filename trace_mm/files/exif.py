"""How a photo's file says that its pixels are to be turned, and the turning.

EXIF data is a TIFF file within the file, so that one parser serves photos of all formats. What it
cannot make sense of says nothing: damaged EXIF data never makes a photo unreadable, and in no
format does it turn it.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trace_mm.files.heif import is_avif

_ORIENTATION = 0x0112
_DIRECTORIES = (0x8769, 0x8825, 0xA005)  # tags that point to those of EXIF, GPS, interoperability
_UNUSED = 1  # what is added to such a tag gives one that means nothing
_SHORT, _LONG = 3, 4  # types of values
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_PNG_PROFILES = (b"Raw profile type exif", b"Raw profile type APP1")
_MOST_TEXT = 2**22  # bytes; EXIF data in hexadecimal digits is far shorter
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')


def take_orientation(data: bytes) -> tuple[bytes, int | None]:
    """Part the pixels of a file from what turns them, so that no decoder turns them too.

    Pillow and OpenCV turn TIFF files themselves, each its own kinds, and refuse PNG, TIFF and AVIF
    files because of damaged EXIF data. Files of other formats stay as they are, and so does how
    AVIF files say it, which is not in their EXIF data.

    Args:
        data: a whole image file of any format.

    Returns:
        The file without its EXIF data, and the orientation, 1 to 8, that this has said; None if it
        says none or the file is no PNG or TIFF.
    """
    if data.startswith(_PNG):
        return _split_png(data)
    if is_avif(data):
        return _without_exif_item(data), None
    entries = list(_tiff_entries(data))
    misleading = [entry for entry in entries if entry.tag in (_ORIENTATION, *_DIRECTORIES)]
    if not misleading:
        return data, None
    patched = bytearray(data)
    for entry in misleading:
        if entry.tag == _ORIENTATION:
            patched[entry.start : entry.start + entry.size] = entry.upright()
        else:
            struct.pack_into(f"{entry.order}H", patched, entry.start, entry.tag + _UNUSED)
    return bytes(patched), _orientation(entries)


def orientation_in_file(image: Image.Image) -> int:
    """The orientation, 1 to 8, that an opened file's EXIF data says, else its XMP data; else 1.

    TIFF files are none of these: Pillow turns them itself, see :func:`take_orientation`.
    """
    exif = image.info.get("exif")
    return (exif_orientation(exif) if isinstance(exif, bytes) else None) or _xmp_orientation(image)


def orientation_of(image: Image.Image) -> int:
    """The same of a PIL image that somebody may have changed since it was opened."""
    try:
        value = image.getexif().get(_ORIENTATION)
    except Exception:  # damaged data raises many kinds
        return _xmp_orientation(image)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def exif_orientation(exif: bytes) -> int | None:
    """The orientation, 1 to 8, in a block of EXIF data; None if it says none or is damaged."""
    return _orientation(list(_tiff_entries(re.sub(b"^(Exif\0\0){1,2}", b"", exif))))


def turn(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn stored pixels (H, W, ...) upright.

    Args:
        pixels: as they are stored.
        orientation: 1 to 8, as EXIF numbers them.

    Returns:
        A view of them, (W, H, ...) for 5 to 8.
    """
    if orientation in (5, 7):  # mirrored along a diagonal
        pixels = pixels.swapaxes(0, 1)
    elif orientation in (6, 8):
        pixels = np.rot90(pixels, -1 if orientation == 6 else 1)
    if orientation in (2, 3, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7):
        pixels = pixels[::-1]
    return pixels


def turn_back(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo :func:`turn`; a view as well."""
    return turn(pixels, {6: 8, 8: 6}.get(orientation, orientation))  # the others undo themselves


class _Entry:
    """An entry of a TIFF directory.

    Attributes:
        order: "<" or ">", of its bytes.
        start: where it stands in the file.
        size: how long it is.
        tag: which tag it holds.
        value: its value, if this is one whole number.
    """

    def __init__(self, data: bytes, order: str, big: bool, start: int) -> None:
        self.order, self.start, self.layout = order, start, "HHQ8s" if big else "HHI4s"
        self.size = struct.calcsize(f"={self.layout}")
        self.tag, kind, count, value = struct.unpack_from(f"{order}{self.layout}", data, start)
        code = {_SHORT: "H", _LONG: "I"}.get(kind) if count == 1 else None
        self.value = struct.unpack_from(f"{order}{code}", value)[0] if code else None

    def upright(self) -> bytes:
        """The bytes of an entry for this place that says that nothing is to be turned."""
        number = struct.pack(f"{self.order}H", 1)
        return struct.pack(f"{self.order}{self.layout}", _ORIENTATION, _SHORT, 1, number)


def _tiff_entries(data: bytes) -> Iterator[_Entry]:
    """The entries of a TIFF file's first directory, as far as they can be read."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return
    try:
        (version,) = struct.unpack_from(f"{order}H", data, 2)
        if version not in (42, 43):
            return
        big = version == 43
        (start,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, 8 if big else 4)
        (count,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, start)
        start += 8 if big else 2
        for _ in range(count):
            entry = _Entry(data, order, big, start)
            yield entry
            start += entry.size
    except (struct.error, OverflowError):  # it breaks off
        return


def _orientation(entries: list[_Entry]) -> int | None:
    for entry in entries:
        if entry.tag == _ORIENTATION and entry.value is not None and 1 <= entry.value <= 8:
            return entry.value
    return None


def _xmp_orientation(image: Image.Image) -> int:
    xmp = image.info.get("XML:com.adobe.xmp") or image.info.get("xmp") or b""
    found = _XMP.search(xmp.encode("utf-8", "replace") if isinstance(xmp, str) else xmp)
    return int(found[1]) if found else 1


def _split_png(data: bytes) -> tuple[bytes, int | None]:
    """A PNG file without its EXIF data, and the orientation that this says."""
    kept: list[bytes] = []
    found: dict[bool, int | None] = {}  # by whether it is from a chunk of its own, which goes first
    begin = start = len(_PNG)
    while start + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        end = start + 12 + length
        if end > len(data) or kind == b"IEND":
            break
        content = data[start + 8 : end - 4] if kind in (b"eXIf", *_PNG_TEXTS) else b""
        if kind == b"eXIf" or content.partition(b"\0")[0] in _PNG_PROFILES:
            sound = zlib.crc32(data[start + 4 : end - 4]) == int.from_bytes(data[end - 4 : end])
            exif = content if kind == b"eXIf" else _profile(kind, content)
            found.setdefault(kind == b"eXIf", exif_orientation(exif) if sound else None)
            kept.append(data[begin:start])
            begin = end
        start = end
    if not found:
        return data, None
    return b"".join([_PNG, *kept, data[begin:]]), found.get(True) or found.get(False)


def _without_exif_item(data: bytes) -> bytes:
    """An AVIF file whose EXIF data is of a type that nobody knows."""
    start = 0
    while start + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        if kind == b"meta":
            end = start + length
            box = data[start:end].replace(b"Exif", b"none")
            return data[:start] + box + data[end:]
        if length < 8:  # the rest of the file, or damaged
            break
        start += length
    return data


def _profile(kind: bytes, content: bytes) -> bytes:
    """EXIF data from a PNG's text: its name, its length and hexadecimal digits; empty if damaged.

    ImageMagick writes it so. The profile called APP1 may be anything and is not looked into.
    """
    keyword, _, text = content.partition(b"\0")
    try:
        if kind == b"zTXt":
            text = _inflated(text[1:])
        elif kind == b"iTXt":
            compressed, rest = text[0], text[2:].split(b"\0", 2)[2]
            text = _inflated(rest) if compressed else rest
        digits = b"".join(text.split(b"\n")[3:])
        return bytes.fromhex(digits.decode("ascii")) if keyword == _PNG_PROFILES[0] else b""
    except (zlib.error, ValueError, IndexError):
        return b""


def _inflated(data: bytes) -> bytes:
    return zlib.decompressobj().decompress(data, _MOST_TEXT)
