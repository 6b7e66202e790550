"""Every kind of image file and array ends up as float RGB, or in one clear error."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from trace_mm.apis import load_image
from trace_mm.files.images import MAX_PIXELS, decode_image, rgb_from_array

RNG = np.random.default_rng(0)
RGB8 = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
RGB16 = RNG.integers(0, 65536, (5, 7, 3), dtype=np.uint16)


def _file(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _float_tiff(pixels: np.ndarray) -> bytes:
    """An uncompressed float32 RGB TIFF, written by hand: Pillow has no such mode."""
    height, width, channels = pixels.shape
    data = pixels.astype("<f4").tobytes()
    short, long = 3, 4
    bits_at = 8 + len(data)
    formats_at = bits_at + 2 * channels
    tags = [
        (256, short, 1, width),
        (257, short, 1, height),
        (258, short, channels, bits_at),
        (259, short, 1, 1),
        (262, short, 1, 2),
        (273, long, 1, 8),
        (277, short, 1, channels),
        (278, short, 1, height),
        (279, long, 1, len(data)),
        (339, short, channels, formats_at),
    ]
    directory_at = formats_at + 2 * channels
    return b"".join(
        [
            struct.pack("<2sHI", b"II", 42, directory_at),
            data,
            struct.pack(f"<{channels}H", *[32] * channels),
            struct.pack(f"<{channels}H", *[3] * channels),
            struct.pack("<H", len(tags)),
            *(struct.pack("<HHII", *tag) for tag in tags),
            struct.pack("<I", 0),
        ]
    )


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_rgb(kind):
    image = decode_image(_file(Image.fromarray(RGB8), kind), "x")
    assert image.dtype == np.float32
    assert image.flags.writeable
    np.testing.assert_array_equal(image, RGB8.astype(np.float32) / np.float32(255))


def test_path_array_and_pil_image_agree(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(RGB8).save(path)
    expected = load_image(RGB8)
    for source in (path, str(path), Image.open(path), Image.fromarray(RGB8)):
        np.testing.assert_array_equal(load_image(source), expected)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[0, 255]], np.uint8), [0, 1]),
        (np.array([[0, 65535]], np.uint16), [0, 1]),
        (np.array([[0, 65535]], ">u2"), [0, 1]),
        (np.array([[False, True]]), [0, 1]),
        (np.array([[0.25, 1.0005]], np.float64), [0.25, 1]),
        (np.array([[[51], [255]]], np.uint8), [0.2, 1]),
        (np.array([[[255, 0], [255, 51]]], np.uint8), [1, 1]),
        (np.array([[[0, 0], [0, 51]]], np.uint8), [1, 0.8]),
    ],
)
def test_grey_arrays(array, expected):
    image = rgb_from_array(array)
    assert image.shape == (1, 2, 3)
    np.testing.assert_allclose(image, np.repeat(np.float32(expected), 3).reshape(1, 2, 3), 1e-6)


def test_array_is_not_changed():
    array = RGB8.astype(np.float32) / 255
    image = rgb_from_array(array)
    image[:] = 0
    assert array.max() > 0.5


@pytest.mark.parametrize(
    ("array", "cause"),
    [
        (np.zeros((2, 2, 5), np.uint8), "must be"),
        (np.zeros(4, np.uint8), "must be"),
        (np.zeros((0, 4), np.uint8), "no pixels"),
        (np.zeros((2, 2), np.int64), "int64"),
        (np.full((2, 2), 255.0), "255"),
        (np.full((2, 2), np.nan), "nan"),
        (np.full((2, 2), -0.1), "-0.1"),
    ],
)
def test_unusable_arrays(array, cause):
    with pytest.raises(ValueError, match=f"thing: .*{cause}"):
        rgb_from_array(array, "thing")


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="list"):
        load_image([1, 2])


def test_transparent_pixels_hide_what_is_behind_them():
    garbage = np.dstack([RGB8, np.zeros((5, 7), np.uint8)])
    image = decode_image(_file(Image.fromarray(garbage), "PNG"), "x")
    np.testing.assert_array_equal(image, np.ones_like(image))


def test_palette_with_transparency():
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    plain = decode_image(_file(image, "PNG"), "x")
    np.testing.assert_array_equal(plain, [[[1, 0, 0], [0, 1, 0], [0, 0, 1]]])
    hidden = decode_image(_file(image, "PNG", transparency=1), "x")
    np.testing.assert_array_equal(hidden, [[[1, 0, 0], [1, 1, 1], [0, 0, 1]]])


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_one_transparent_color(mode):
    pixels = np.array([[10, 20]], np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    key = 20 if mode == "L" else (20, 20, 20)
    result = decode_image(_file(image, "PNG", transparency=key), "x")
    np.testing.assert_allclose(result[0, :, 0], [10 / 255, 1], rtol=1e-6)


def test_bilevel():
    image = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    np.testing.assert_array_equal(decode_image(_file(image, "PNG"), "x")[0, :, 0], [0, 1])


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bit_files_keep_their_range(suffix):
    _, data = cv2.imencode(suffix, RGB16[:, :, ::-1])
    result = decode_image(data.tobytes(), "x")
    np.testing.assert_array_equal(result, RGB16.astype(np.float32) / np.float32(65535))
    _, data = cv2.imencode(suffix, RGB16[:, :, 0])
    result = decode_image(data.tobytes(), "x")
    np.testing.assert_array_equal(result[:, :, 1], RGB16[:, :, 0] / np.float32(65535))


def test_16_bit_with_transparency():
    pixels = np.dstack([RGB16[:, :, ::-1], np.zeros((5, 7), np.uint16)])
    _, data = cv2.imencode(".png", pixels)
    np.testing.assert_array_equal(decode_image(data.tobytes(), "x"), np.ones((5, 7, 3)))


def test_32_bit_integers_are_read_on_the_16_bit_scale():
    image = Image.fromarray(np.array([[0, 65535]], np.int32))
    np.testing.assert_array_equal(decode_image(_file(image, "TIFF"), "x")[0, :, 0], [0, 1])
    image = Image.fromarray(np.array([[0, 65536]], np.int32))
    with pytest.raises(ValueError, match=r"x\.tif: .*65536"):
        decode_image(_file(image, "TIFF"), "x.tif")


def test_float_tiff():
    pixels = RNG.random((4, 6, 3), dtype=np.float32)
    np.testing.assert_array_equal(decode_image(_float_tiff(pixels), "x"), pixels)
    grey = _file(Image.fromarray(pixels[:, :, 0]), "TIFF")
    np.testing.assert_array_equal(decode_image(grey, "x")[:, :, 2], pixels[:, :, 0])
    with pytest.raises(ValueError, match="float pixels must lie in"):
        decode_image(_float_tiff(pixels * 255), "x")


def test_cmyk_jpeg_keeps_its_colors():
    red = Image.new("RGB", (16, 16), (200, 30, 30))
    result = decode_image(_file(red.convert("CMYK"), "JPEG", quality=95), "x")
    np.testing.assert_allclose(result[8, 8], np.array([200, 30, 30]) / 255, atol=0.03)


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "16-bit PNG"])
def test_orientation(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(RGB8)
    data = _file(image, kind.split()[-1], exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    if kind == "16-bit PNG":
        # The eXIf chunk of the 8-bit file goes into a 16-bit one, after its IHDR.
        start = data.index(b"eXIf") - 4
        length = struct.unpack(">I", data[start : start + 4])[0] + 12
        _, deep = cv2.imencode(".png", RGB8[:, :, ::-1].astype(np.uint16) * 257)
        deep = deep.tobytes()
        data = deep[:33] + data[start : start + length] + deep[33:]
    result = decode_image(data, "x")
    np.testing.assert_allclose(result * 255, expected, atol=1e-3)


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (3, 2), color) for color in ((255, 0, 0), (0, 255, 0))]
    data = _file(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode_image(data, "x")[0, 0], [1, 0, 0])


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (8000, 1), (8000, 20)])
def test_extreme_sizes(size):
    image = decode_image(_file(Image.new("RGB", size), "PNG"), "x")
    assert image.shape == (size[1], size[0], 3)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png: no such file"):
        load_image(tmp_path / "nowhere.png")
    with pytest.raises(ValueError, match=str(tmp_path)):
        load_image(tmp_path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "16-bit PNG"])
def test_truncated_files(tmp_path, kind):
    pixels = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    if kind == "16-bit PNG":
        data = cv2.imencode(".png", pixels.astype(np.uint16) * 200)[1].tobytes()
    else:
        data = _file(Image.fromarray(pixels), kind)
    path = tmp_path / "cut.img"
    for length in (0, 1, 10, 40, len(data) // 2):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"cut\.img"):
            load_image(path)


def test_truncated_float_tiff():
    data = _float_tiff(RNG.random((32, 32, 3), dtype=np.float32))
    for length in (8, len(data) // 2, len(data) - 60):
        with pytest.raises(ValueError, match="x"):
            decode_image(data[:length], "x")


def test_damaged_bytes_never_raise_anything_else():
    data = bytearray(_file(Image.fromarray(RGB8), "PNG"))
    for position in range(8, len(data), 3):
        damaged = bytes(data[:position]) + b"\xff" + bytes(data[position + 1 :])
        try:
            image = decode_image(damaged, "x")
        except ValueError as error:
            assert str(error).startswith("x: ")
        else:
            assert image.shape[2] == 3


def test_not_an_image():
    with pytest.raises(ValueError, match=r"notes\.txt: not an image"):
        decode_image(b"hello" * 100, "notes.txt")


def test_decompression_bomb():
    header = _file(Image.new("1", (8, 8)), "PNG")
    side = int(MAX_PIXELS**0.5) + 10
    for width in (side, 2**16):
        ihdr = b"IHDR" + struct.pack(">IIBBBBB", width, side, 1, 0, 0, 0, 0)
        crc = struct.pack(">I", zlib.crc32(ihdr))
        bomb = header[:12] + ihdr + crc + header[33:]
        with pytest.raises(ValueError, match=r"bomb\.png: the image is too large"):
            decode_image(bomb, "bomb.png")
