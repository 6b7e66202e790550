"""Image files, arrays and PIL images, all as one thing: float RGB at full precision.

Files are decoded by Pillow. Pillow has no mode for more than 8 bits in several channels, so those
PNG and TIFF files are decoded by OpenCV after Pillow has found them sound. HEIC files are decoded
by pillow-heif, an extra.
"""

import io
import os
import warnings
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from trace_mm.files.exif import orientation_in_file, orientation_of, take_orientation, turn
from trace_mm.files.heif import is_heif, register_heif
from trace_mm.files.members import AnyFile, as_file, content_of
from trace_mm.files.store_paths import StorePath

ImageLike = str | os.PathLike[str] | StorePath | NDArray[Any] | Image.Image

MAX_PIXELS = 178_956_970
"""Larger images are refused as decompression bombs; it is the limit at which Pillow does so too."""

_BITS_PER_SAMPLE_TAG = 258  # of TIFF
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_RANGE_TOLERANCE = 1e-3  # what resampling may overshoot in float images
# Modes whose pixels numpy sees as they are; Pillow converts all others.
_PLAIN_MODES = {"1", "L", "LA", "RGB", "RGBA", "I", "F"}
_TRANSPARENT_MODES = {"PA", "La", "RGBa"}


def load_image(source: ImageLike, name: str | None = None) -> NDArray[np.float32]:
    """Read an image as float RGB.

    Grey is repeated over the channels. Transparent pixels are composited on white, so that what a
    fully transparent pixel hides does not matter. EXIF orientation is applied, and damaged EXIF
    data is passed over; of animations and multi-page files the first frame is taken; colour
    profiles are ignored. What an annotation belongs to is read by
    :func:`trace_mm.files.read_photo`, which turns it unless the annotation is of stored pixels.

    Args:
        source: a path, an address of a store, an array or a PIL image. Arrays are (H, W) or
            (H, W, C) with C = 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA), in uint8, uint16,
            bool, or float in [0, 1]. Channels are RGB: reverse what ``cv2.imread`` or
            ``mmcv.imread`` return.
        name: what error messages call it; by default the path.

    Returns:
        float32 (H, W, 3) RGB in [0, 1].

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read as an image; names the file and the cause.
        TypeError: if ``source`` is none of the above.
    """
    if isinstance(source, np.ndarray):
        return rgb_from_array(source, name or "array")
    if isinstance(source, Image.Image):
        label = name or str(getattr(source, "filename", "")) or "PIL image"
        _check_size(source, label)
        return _from_pil(source, label)
    if isinstance(source, (str, os.PathLike, StorePath)):
        path = as_file(source)
        return decode_image(read_file(path), name or str(path))
    raise TypeError(
        f"{name or 'an image'} must be a path, a numpy array or a PIL image, got "
        f"{type(source).__name__}"
    )


def read_file(path: AnyFile) -> bytes:
    """The bytes of an image file; see :func:`trace_mm.files.members.content_of`."""
    return content_of(path)


def decode_image(data: bytes, name: str) -> NDArray[np.float32]:
    """Decode the bytes of an image file; see :func:`load_image`.

    Args:
        data: the whole file.
        name: what error messages call it.

    Returns:
        float32 (H, W, 3) RGB in [0, 1].

    Raises:
        ValueError: if it is not a readable image; names it and the cause.
    """
    pixels, orientation = decode_stored(data, name)
    return np.ascontiguousarray(turn(pixels, orientation))


def decode_stored(data: bytes, name: str) -> tuple[NDArray[np.float32], int]:
    """The pixels of an image file as they are stored, and how they are to be turned.

    Args:
        data: the whole file.
        name: what error messages call it.

    Returns:
        float32 (H, W, 3) RGB in [0, 1], and the orientation, 1 to 8 as in EXIF.

    Raises:
        ValueError: if it is not a readable image; names it and the cause.
    """
    if not data:
        raise ValueError(f"{name}: the file is empty")
    data, orientation = take_orientation(data)
    if is_heif(data):
        register_heif(name)
        orientation = 1  # what decodes it turns it
    image = _open(data, name)
    if image is None:  # a TIFF of a kind that Pillow does not know, such as float RGB
        return rgb_from_array(_decode_deep(data, name), name), orientation or 1
    with image:
        _check_size(image, name)
        _load_pixels(image, name)  # OpenCV fills what a truncated file lacks, Pillow refuses it
        if orientation is None:
            orientation = orientation_in_file(image)
        deep = _is_deep(image, data)
        pixels = _decode_deep(data, name) if deep else _pixels_of(image, name)
        return rgb_from_array(pixels, name), orientation


def _open(data: bytes, name: str) -> Image.Image | None:
    """A PIL image that is not loaded yet; None if it is a TIFF that Pillow does not know."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is raised
            return Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        if data.startswith(_TIFF_MAGIC):
            return None
        raise ValueError(f"{name}: not an image, or of an unknown format") from None
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name}: the image is too large: {error}") from error
    except Exception as error:  # decoders raise many kinds on damaged headers
        raise ValueError(f"{name}: damaged image: {error}") from error


def rgb_from_array(array: NDArray[Any], name: str = "array") -> NDArray[np.float32]:
    """Bring an array of pixels to float RGB.

    Args:
        array: (H, W) or (H, W, C), see :func:`load_image`.
        name: what error messages call it.

    Returns:
        float32 (H, W, 3) RGB in [0, 1]; always a new array.

    Raises:
        ValueError: if shape, type or range do not fit.
    """
    shape = array.shape
    if array.ndim == 2:
        array = array[:, :, None]  # (H, W, 1)
    if array.ndim != 3 or not 1 <= array.shape[2] <= 4:
        raise ValueError(f"{name}: an image must be (H, W) or (H, W, 1 to 4), got {shape}")
    if array.size == 0:
        raise ValueError(f"{name}: the image has no pixels, its shape is {shape}")
    pixels = _to_unit_range(array, name)
    channels = pixels.shape[2]
    color = pixels[:, :, :3] if channels >= 3 else pixels[:, :, :1]
    if channels in (2, 4):
        alpha = pixels[:, :, -1:]
        color = color * alpha + (1 - alpha)  # on white
    return np.repeat(color, 3, axis=2) if channels < 3 else np.ascontiguousarray(color)


def _to_unit_range(array: NDArray[Any], name: str) -> NDArray[np.float32]:
    """Pixels as a new float32 array in [0, 1]."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "b":
        return array.astype(np.float32)
    if kind == "u" and size in (1, 2):
        return array.astype(np.float32) / np.float32(2 ** (8 * size) - 1)
    if kind != "f":
        raise ValueError(
            f"{name}: pixels must be uint8, uint16, bool or float, got {array.dtype.name}"
        )
    low, high = float(array.min()), float(array.max())
    if not (low >= -_RANGE_TOLERANCE and high <= 1 + _RANGE_TOLERANCE):  # also true for nan
        raise ValueError(f"{name}: float pixels must lie in [0, 1], got {low:g} to {high:g}")
    return np.clip(array, 0, 1).astype(np.float32)


def _from_pil(image: Image.Image, name: str) -> NDArray[np.float32]:
    _load_pixels(image, name)
    # After loading, since Pillow turns TIFF files itself and then drops the tag.
    return rgb_from_array(turn(_pixels_of(image, name), orientation_of(image)), name)


def _pixels_of(image: Image.Image, name: str) -> NDArray[Any]:
    """Pixels (H, W) or (H, W, C) of a loaded PIL image, as :func:`rgb_from_array` takes them."""
    try:
        if image.mode not in _PLAIN_MODES and not image.mode.startswith("I;16"):
            image = image.convert("RGBA" if _has_transparency(image) else "RGB")
        elif "transparency" in image.info and image.mode in {"1", "L", "RGB"}:
            image = image.convert("RGBA")
    except (ValueError, OSError) as error:
        raise ValueError(f"{name}: cannot read pixels of kind {image.mode}: {error}") from error
    pixels = np.asarray(image)
    return _as_16_bit(pixels, name) if image.mode == "I" else pixels


def _has_transparency(image: Image.Image) -> bool:
    return image.mode in _TRANSPARENT_MODES or "transparency" in image.info


def _as_16_bit(pixels: NDArray[Any], name: str) -> NDArray[np.uint16]:
    """Pillow's 32-bit mode is also how it reads 16-bit files; only those have a known range."""
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high > 65535:
        raise ValueError(
            f"{name}: 32-bit integer pixels are read on the 16-bit scale and must lie in "
            f"0 to 65535, got {low} to {high}"
        )
    return pixels.astype(np.uint16)


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if width * height == 0:
        raise ValueError(f"{name}: the image has no pixels, its size is {width}x{height}")
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"{name}: the image is too large: {width}x{height} pixels, the limit is "
            f"{MAX_PIXELS // 10**6} million"
        )


def _load_pixels(image: Image.Image, name: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is raised
            image.load()
    except Exception as error:  # decoders raise many kinds on damaged data
        raise ValueError(f"{name}: damaged or truncated image: {error}") from error


def _is_deep(image: Image.Image, data: bytes) -> bool:
    """Whether Pillow would cut several channels down to 8 bits."""
    if image.mode == "F" or image.mode.startswith("I"):
        return False
    if image.format == "PNG":
        return data[24] == 16  # IHDR: width and height, then the bit depth
    if image.format == "TIFF":
        return max(image.tag_v2.get(_BITS_PER_SAMPLE_TAG, (8,))) > 8  # type: ignore[attr-defined]
    return False


def _decode_deep(data: bytes, name: str) -> NDArray[Any]:
    """Pixels (H, W) or (H, W, C) in RGB order and their own type."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(f"{name}: damaged image: {error}") from error
    if pixels is None:
        raise ValueError(f"{name}: damaged image, or a TIFF of a kind that is not supported")
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        pixels = pixels[:, :, [2, 1, 0, *range(3, pixels.shape[2])]]  # from OpenCV's BGR
    return pixels
