"""Maps of ids and masks in black and white, however they are stored."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from trace_mm.files.id_maps import (
    folder_colors,
    folder_numbering,
    numbering,
    read_id_map,
)
from trace_mm.files.map_pixels import ids_in
from trace_mm.files.palette import voc_palette

CLASSES = (15, 2, 7)


def blocks(values, cell=12, size=(60, 80)):
    """A map (H, W) of squares of the given ids on background 0."""
    ids = np.zeros(size, dtype=np.int32)
    columns = size[1] // cell - 1
    for index, value in enumerate(values):
        row, column = divmod(index, columns)
        ids[2 + row * cell : 2 + (row + 1) * cell, 2 + column * cell : 2 + (column + 1) * cell] = (
            value
        )
    return ids


def save(path, pixels, palette=None):
    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette.ravel().tolist())
    image.save(path)
    return path


def disc(size=(60, 80), radius=15):
    rows, columns = np.indices(size)
    return (rows - 30) ** 2 + (columns - 40) ** 2 < radius**2


STORED = {
    "grey": lambda ids: ids.astype(np.uint8),
    "grey of more than 8 bits": lambda ids: ids.astype(np.uint16),
    "grey saved as RGB": lambda ids: np.repeat(ids.astype(np.uint8)[:, :, None], 3, axis=2),
    "VOC's colours": lambda ids: voc_palette()[ids],
    "colours R + 256 G + 65536 B": lambda ids: np.stack(
        [ids & 255, ids >> 8 & 255, ids >> 16], axis=2
    ).astype(np.uint8),
}


@pytest.mark.parametrize("stored", STORED)
def test_whatever_classes_are_stored_as(stored, tmp_path):
    ids = blocks(CLASSES)
    found = read_id_map(save(tmp_path / "a.png", STORED[stored](ids)))
    assert found.stored == stored
    np.testing.assert_array_equal(found.ids, ids)
    assert found.ids.dtype == np.int32
    assert found.present() == sorted(CLASSES)


@pytest.mark.parametrize("palette", [voc_palette(), voc_palette()[::-1]])
def test_of_palette_images_the_index_counts(palette, tmp_path):
    ids = blocks(CLASSES)
    found = read_id_map(save(tmp_path / "a.png", ids.astype(np.uint8), palette))
    np.testing.assert_array_equal(found.ids, ids)
    assert (found.stored, found.void) == ("palette", 255)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits_is_not_scaled(bits, tmp_path):
    ids = blocks(range(2**bits))
    image = Image.fromarray(ids.astype(np.uint8))
    path = tmp_path / "a.png"
    image.putpalette(np.repeat(np.arange(2**bits, dtype=np.uint8), 3).tolist())
    image.save(path, bits=bits)
    data = bytearray(path.read_bytes())
    assert data[24] == bits
    greyed = _without_palette(bytes(data))
    path.write_bytes(greyed)
    np.testing.assert_array_equal(read_id_map(path).ids, ids)


def _without_palette(data):
    """The same PNG file as grey: colour type 0 and no PLTE chunk."""
    import struct
    import zlib

    chunks, place = [], 8
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        content = data[place + 8 : place + 8 + length]
        place += 12 + length
        if kind == b"IHDR":
            content = content[:9] + b"\0" + content[10:]
        if kind not in (b"PLTE", b"tRNS"):
            crc = struct.pack(">I", zlib.crc32(kind + content))
            chunks.append(struct.pack(">I", len(content)) + kind + content + crc)
    return data[:8] + b"".join(chunks)


def test_255_is_void_in_maps_of_8_bits_only(tmp_path):
    ids = np.repeat(np.repeat(np.arange(300).reshape(15, 20), 4, 0), 4, 1)
    deep = read_id_map(save(tmp_path / "deep.png", ids.astype(np.uint16)))
    assert deep.void == 65535
    assert deep.present() == list(range(1, 300))
    holes = np.where(ids % 7 == 0, 65535, ids).astype(np.uint16)
    assert read_id_map(save(tmp_path / "holes.png", holes)).present() == [
        number for number in range(1, 300) if number % 7
    ]
    colored = read_id_map(save(tmp_path / "rgb.png", STORED["colours R + 256 G + 65536 B"](ids)))
    assert colored.present() == list(range(1, 300))
    shallow = read_id_map(save(tmp_path / "grey.png", (ids % 256).astype(np.uint8)))
    assert shallow.present() == list(range(1, 255))


def test_colors_may_be_told(tmp_path):
    cars = np.repeat(np.where(disc(), 128, 0).astype(np.uint8)[:, :, None], 3, axis=2)
    path = save(tmp_path / "a.png", cars)
    assert read_id_map(path).present() == [128]
    assert read_id_map(path, colors="voc").present() == [7]
    assert read_id_map(path, colors="ids").present() == [128 * 65793]
    other = np.full((9, 9, 3), (1, 2, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"b\.png: the colour \(1, 2, 3\) is none of VOC's"):
        read_id_map(save(tmp_path / "b.png", other), colors="voc")


def test_a_folder_tells_what_colors_mean(tmp_path):
    cars = np.repeat(np.where(disc(), 128, 0).astype(np.uint8)[:, :, None], 3, axis=2)
    first = save(tmp_path / "a.png", cars)
    assert folder_colors([first]) == "auto"
    second = save(tmp_path / "b.png", voc_palette()[blocks(CLASSES)])
    assert folder_colors([first, tmp_path / "none.png", second]) == "voc"


def jpeg(pixels, quality=75):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


SPOILT = {
    "jpeg": lambda ids: jpeg(ids),
    "smoothed": lambda ids: np.asarray(Image.fromarray(ids).resize((131, 97), Image.BILINEAR)),
    "photo": lambda ids: np.random.default_rng(0).integers(0, 200, ids.shape).astype(np.uint8),
    "color photo": lambda ids: (
        np.random.default_rng(0).integers(0, 256, (*ids.shape, 3)).astype(np.uint8)
    ),
}


@pytest.mark.parametrize("how", SPOILT)
def test_pictures_and_spoilt_maps_are_refused(how, tmp_path):
    ids = blocks((40, 90, 120, 15)).astype(np.uint8)
    path = save(tmp_path / "a.png", np.ascontiguousarray(SPOILT[how](ids)))
    with pytest.raises(ValueError, match=r"a\.png: holds \d+ values, most of them as specks"):
        read_id_map(path)


def test_maps_of_many_small_objects_are_none(tmp_path):
    rng = np.random.default_rng(0)
    ids = np.repeat(np.repeat(rng.permutation(600).reshape(20, 30), 2, 0), 2, 1)
    assert len(read_id_map(save(tmp_path / "a.png", ids.astype(np.uint16))).present()) == 599


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.png: no such file"):
        read_id_map(tmp_path / "none.png")
    path = tmp_path / "a.png"
    path.write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"a\.png: not an image"):
        read_id_map(path)
    save(path, blocks(CLASSES).astype(np.uint8))
    with pytest.raises(
        ValueError, match=r"a\.png: is \(60, 80\) \(H, W\), but the image is \(6, 8"
    ):
        read_id_map(path, (6, 8))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"a\.png: damaged image"):
        read_id_map(path)
    Image.new("RGBA", (3, 3)).save(path)
    with pytest.raises(ValueError, match=r"a\.png: holds transparent pixels"):
        read_id_map(path)
    Image.new("CMYK", (3, 3)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif: must hold ids.*mode is CMYK"):
        read_id_map(tmp_path / "a.tif")


@pytest.mark.parametrize(
    "maps, expected",
    [
        ([[7, 11, 26000, 26001, 26002, 24000]], 1000),
        ([[26001, 26002, 24001], [24001]], 1000),
        ([[26 * 256, 26 * 256 + 1, 24 * 256 + 1, 7 * 256]], 256),
        ([[1, 2, 3], [26000]], 1000),
        ([list(range(1, 3000))], None),
        ([[300, 500, 1234, 5678]], None),
        ([[1, 2, 3]], None),
        ([[26001], [26 * 256 + 1]], None),
        ([], None),
    ],
)
def test_how_ids_number(maps, expected):
    assert numbering(maps) == expected


@given(
    st.sampled_from([1000, 256]),
    st.dictionaries(st.integers(4, 60), st.integers(1, 20), min_size=1),
    st.integers(0, 1),
)
def test_ids_made_by_a_convention_show_it(divisor, counts, first):
    ids = [
        kind * divisor + number
        for kind, count in counts.items()
        for number in range(first, first + count)
    ]
    assert numbering([ids]) == divisor


@given(arrays(np.int32, (5, 7), elements=st.sampled_from([-3, 0, 5, 70000])))
def test_ids_in(ids):
    assert ids_in(ids) == sorted(set(ids.ravel().tolist()))


def test_a_folder_of_classes_and_numbers_is_told(tmp_path):
    ids = blocks((7, 11, 26000, 26001, 24000))
    path = save(tmp_path / "a.png", ids.astype(np.uint16))
    assert f"{tmp_path}: ids are class * 1000 + number" in folder_numbering([path])
    assert folder_numbering([save(tmp_path / "b.png", blocks(CLASSES).astype(np.uint8))]) == ""
