"""Damaged EXIF data refuses no photo and turns none, in whatever format."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from trace_mm.files.images import decode_image, decode_stored

SIZE = (24, 40)
PIXELS = np.kron(np.arange(15).reshape(3, 5) * 17, np.ones((8, 8))).astype(np.uint8)  # SIZE
RGB16 = np.dstack([PIXELS, 255 - PIXELS, PIXELS // 2]).astype(np.uint16) * 257
DAMAGED = [b"", b"Exif\0\0", b"Exif\0\0II", b"Exif\0\0II*\0\xff\xff\xff\xff", b"nonsense" * 9]
FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "PNG text", "PNG zTXt", "PNG iTXt"]
FORMATS += ["AVIF"] if features.check("avif") else []


def exif_block(orientation=6):
    tags = Image.Exif()
    tags[0x010F] = "a maker of cameras"
    tags[0x0112] = orientation
    return tags.tobytes()


def png_chunk(kind, content, damaged=False):
    crc = zlib.crc32(kind + content) ^ damaged
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def png_profile(kind, text):
    name = b"Raw profile type exif\0"
    if kind == b"zTXt":
        return png_chunk(kind, name + b"\0" + zlib.compress(text))
    return png_chunk(kind, name + (b"\0\0\0\0" if kind == b"iTXt" else b"") + text)


def with_exif(kind, exif):
    """A photo whose EXIF block is any bytes; writers of files refuse some."""
    image, file = Image.fromarray(PIXELS), io.BytesIO()
    if kind == "TIFF":
        tags = Image.Exif()
        tags.load(exif)
        image.save(file, kind, exif=tags)
    elif kind == "AVIF":
        image.save(file, kind, exif=exif_block(), quality=100, subsampling="4:4:4")
        if exif == exif_block():
            return file.getvalue()
        assert file.getvalue().count(b"MM\0*") == 1  # where the block begins
        return file.getvalue().replace(b"MM\0*", exif[:4])
    elif kind == "JPEG":
        image.save(file, kind, quality=100, exif=exif)
    elif kind == "WEBP":
        image.save(file, kind, lossless=True, exif=exif)
    else:
        image.save(file, "PNG")
        data, kind = file.getvalue(), kind.removeprefix("PNG").strip()
        block = exif.removeprefix(b"Exif\0\0")
        text = b"\nexif\n%8d\n" % len(exif) + exif.hex().encode() + b"\n"
        codes = {"text": b"tEXt", "zTXt": b"zTXt", "iTXt": b"iTXt"}
        chunk = png_profile(codes[kind], text) if kind else png_chunk(b"eXIf", block)
        return data[:33] + chunk + data[33:]  # after IHDR
    return file.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
def test_sound_exif_data_turns_alike(kind):
    stored, orientation = decode_stored(with_exif(kind, exif_block()), "x")
    assert orientation == 6
    np.testing.assert_allclose(stored[:, :, 0], PIXELS / 255, atol=0.03)
    upright = decode_image(with_exif(kind, exif_block()), "x")
    np.testing.assert_array_equal(upright, np.rot90(stored, -1))


@pytest.mark.parametrize("exif", DAMAGED)
@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind not in ("TIFF", "AVIF")])
def test_damaged_exif_data_turns_nothing(kind, exif):
    image = decode_image(with_exif(kind, exif), "x")
    np.testing.assert_allclose(image[:, :, 0], PIXELS / 255, atol=0.03)


@pytest.mark.skipif("AVIF" not in FORMATS, reason="this Pillow reads no AVIF")
def test_damaged_exif_data_of_avif():
    """How it is turned stands elsewhere in the file, and holds."""
    _, orientation = decode_stored(with_exif("AVIF", b"nonsense"), "x")
    assert orientation == 6


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "WEBP", "PNG zTXt"]), st.data())
def test_any_bytes_will_do(kind, data):
    block = bytearray(exif_block())
    for _ in range(data.draw(st.integers(1, 6))):
        block[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    del block[data.draw(st.integers(0, len(block))) :]
    stored, orientation = decode_stored(with_exif(kind, bytes(block)), "x")
    assert stored.shape == (*SIZE, 3)
    assert 1 <= orientation <= 8


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("kind", [b"eXIf", b"tEXt", b"zTXt"])
def test_png_chunks_whose_checksum_or_compression_is_wrong(kind, deep):
    pixels = RGB16[:, :, ::-1] if deep else (RGB16[:, :, ::-1] // 257).astype(np.uint8)
    data = cv2.imencode(".png", pixels)[1].tobytes()
    name = b"Raw profile type exif\0"
    content = exif_block()[6:] if kind == b"eXIf" else name + b"\0 not compressed"
    for damaged in (True, False):
        chunk = png_chunk(kind, content if damaged or kind != b"eXIf" else b"\0", damaged)
        for place in (33, len(data) - 12):  # after the header, and before the end
            image = decode_image(data[:place] + chunk + data[place:], "x")
            np.testing.assert_allclose(image, RGB16 / 65535, atol=1e-6)


def tiff(pixels, orientation, tags=b"", order="<", big=False):
    """An uncompressed TIFF of 16 bits a channel, written by hand, so that nothing is hidden."""
    height, width, channels = pixels.shape
    data = pixels.astype(f"{order}u2").tobytes()
    magic = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}H", 43 if big else 42)
    start = 16 if big else 8
    offset, count = ("Q", "Q") if big else ("I", "H")
    bits = start + len(data)
    directory = bits + 2 * channels
    # Up to four bytes, or eight in a large TIFF, stand in the entry itself.
    inline = big and channels <= 4
    values = struct.pack(f"{order}{channels}H", *[16] * channels)
    sizes = values.ljust(8, b"\0") if inline else struct.pack(f"{order}{offset}", bits)

    def entry(tag, kind, number, value):
        if not isinstance(value, bytes):
            value = struct.pack(f"{order}{'H' if kind == 3 else 'I'}", value)
        return struct.pack(f"{order}HH{offset}", tag, kind, number) + value.ljust(
            8 if big else 4, b"\0"
        )

    entries = [
        entry(256, 4, 1, width),
        entry(257, 4, 1, height),
        entry(258, 3, channels, sizes),
        entry(259, 3, 1, 1),
        entry(262, 3, 1, 2),
        entry(273, 4, 1, start),
        entry(274, *(orientation if isinstance(orientation, tuple) else (3, 1, orientation))),
        entry(277, 3, 1, channels),
        entry(278, 4, 1, height),
        entry(279, 4, 1, len(data)),
        *([entry(338, 3, 1, 2)] if channels == 4 else []),
        *tags,
    ]
    head = magic + (struct.pack(f"{order}HHQ", 8, 0, directory) if big else b"")
    head += b"" if big else struct.pack(f"{order}I", directory)
    listed = struct.pack(f"{order}{count}", len(entries)) + b"".join(entries)
    return head + data + values + listed + struct.pack(f"{order}{offset}", 0)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_tiff_files_are_turned_once(orientation, channels, order):
    """OpenCV turns them, or does not, as its version has it."""
    pixels = np.dstack([RGB16, np.full(SIZE, 65535, np.uint16)])[:, :, :channels]
    stored, found = decode_stored(tiff(pixels, orientation, order=order), "x")
    assert found == orientation
    np.testing.assert_array_equal(stored, RGB16 / np.float32(65535))


def test_large_tiff_files():
    stored, found = decode_stored(tiff(RGB16, 6, big=True), "x")
    assert found == 6
    np.testing.assert_array_equal(stored, RGB16 / np.float32(65535))


@pytest.mark.parametrize(
    "orientation",
    [0, 9, 60000, (2, 1, b"6"), (3, 2, struct.pack("<HH", 6, 6)), (5, 1, 8), (99, 1, 6)],
)
def test_orientations_that_are_none(orientation):
    stored, found = decode_stored(tiff(RGB16, orientation), "x")
    assert found == 1
    np.testing.assert_array_equal(stored, RGB16 / np.float32(65535))


@pytest.mark.parametrize("tag", [0x8769, 0x8825])
@pytest.mark.parametrize("place", [0, 7, 2**31, 2**32 - 1])
def test_damaged_directories_of_tiff_files(tag, place):
    pointer = struct.pack("<HHII", tag, 4, 1, place)
    stored, _ = decode_stored(tiff(RGB16, 1, [pointer]), "x")
    np.testing.assert_array_equal(stored, RGB16 / np.float32(65535))
