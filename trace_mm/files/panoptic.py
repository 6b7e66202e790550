"""COCO's panoptic format: segment ids as the colours of a PNG, and a JSON file that names them."""

import io
import json
import reprlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trace_mm.files.coco import as_integer, mask_box

VOID = 0
"""Id of the pixels that belong to no segment."""

MAX_ID = 2**24 - 1
"""The largest id that a colour can hold."""

_Known = Collection[int | str] | None  # ids that may be referred to; None if they are not listed


def encode_ids(ids: NDArray[Any]) -> NDArray[np.uint8]:
    """Segment ids as colours: id = R + 256 G + 65536 B.

    Args:
        ids: (H, W), whole numbers in 0 to 2^24 - 1.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        ValueError: if the map is not one of such ids.
    """
    _check_ids(ids)
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) <= MAX_ID:
        raise ValueError(
            f"segment ids must lie in 0 to {MAX_ID}, there are {ids.min()} to {ids.max()}"
        )
    ids = ids.astype(np.int32)
    channels = [ids & 255, ids >> 8 & 255, ids >> 16]  # 3 * (H, W)
    return np.stack(channels, axis=2).astype(np.uint8)  # (H, W, 3)


def decode_ids(rgb: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Segment ids of colours, the inverse of ``encode_ids``.

    Args:
        rgb: uint8 (H, W, 3), RGB.

    Returns:
        int32 (H, W).

    Raises:
        ValueError: if this is no RGB image.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"colours must be uint8 (H, W, 3), got {rgb.dtype} {rgb.shape}")
    red, green, blue = (rgb[:, :, channel].astype(np.int32) for channel in range(3))
    return red | green << 8 | blue << 16  # (H, W)


def panoptic_png(ids: NDArray[Any]) -> bytes:
    """A PNG file of segment ids (H, W); the same ids give the same bytes.

    Raises:
        ValueError: as ``encode_ids``, or if the map is empty.
    """
    rgb = encode_ids(ids)  # (H, W, 3)
    if not rgb.size:
        raise ValueError(f"an image must have pixels, its shape is {ids.shape}")
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG", compress_level=6)
    return file.getvalue()


def read_panoptic_png(path: str | Path, size: tuple[int, int] | None = None) -> NDArray[np.int32]:
    """Segment ids of a panoptic PNG.

    Args:
        path: an RGB image file. Of RGBA the alpha channel is dropped.
        size: (H, W) that it must have, if known.

    Returns:
        int32 (H, W), 0 is void.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a readable image, has no colours, or is of another size; names the
            file.
    """
    try:
        with Image.open(path) as image:
            mode, found = image.mode, (image.height, image.width)
            pixels = np.asarray(image)  # (H, W) or (H, W, C)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such panoptic PNG") from None
    except Exception as error:  # decoders raise many kinds on damaged data
        raise ValueError(f"{path}: not a readable image: {error}") from error
    if size is not None and found != tuple(size):
        raise ValueError(f"{path}: the map is {found} (H, W), it should be {tuple(size)}")
    if mode not in ("RGB", "RGBA"):
        raise ValueError(f"{path}: must hold segment ids as RGB colours, but its mode is {mode}")
    return decode_ids(pixels[:, :, :3])


def segment_ids(ids: NDArray[Any]) -> list[int]:
    """The ids that a map (H, W) holds, rising, without void.

    Raises:
        ValueError: if this is no map of whole numbers.
    """
    _check_ids(ids)
    flat = ids.ravel()
    starts = flat[:1], flat[1:][flat[1:] != flat[:-1]]  # of runs, far fewer than pixels
    return [number for number in np.unique(np.concatenate(starts)).tolist() if number != VOID]


def segments_info(
    ids: NDArray[Any], categories: Mapping[int, int], crowds: Collection[int] = ()
) -> list[dict[str, Any]]:
    """What a panoptic annotation says of the segments of one image.

    Args:
        ids: segment ids (H, W), 0 is void.
        categories: category id of each segment id; ids that no pixel has are left out.
        crowds: the segment ids that are crowds.

    Returns:
        Dicts of ``id``, ``category_id``, ``area``, ``bbox`` [x, y, width, height] and ``iscrowd``,
        all whole numbers, by rising id.

    Raises:
        ValueError: if an id of the map has no category.
    """
    present = segment_ids(ids)
    missing = [number for number in present if number not in categories]
    if missing:
        raise ValueError(f"segments without a category: {reprlib.repr(missing)}")
    segments = []
    for number in present:
        mask = ids == number  # (H, W)
        segments.append(
            {
                "id": number,
                "category_id": int(categories[number]),
                "area": int(np.count_nonzero(mask)),
                "bbox": mask_box(mask),
                "iscrowd": int(number in crowds),
            }
        )
    return segments


def read_panoptic_file(path: str | Path, complete: bool = True) -> dict[str, Any]:
    """The JSON file of a panoptic dataset, checked.

    Checked is what readers rely on: ids are whole numbers (those of images may be text) and occur
    once, segments refer to categories and annotations to images, names of files stay in their
    folder. ``area`` and ``bbox`` are not looked at, since some tools leave them empty.

    Args:
        path: the JSON file.
        complete: False also takes a file without ``images`` or ``categories``, as mmdet writes
            predictions; both are empty lists then, and what refers to them is not checked.

    Returns:
        The content, with ``images``, ``annotations`` and ``categories``. Whole numbers that were
        written as 1.0 are ints. A missing ``iscrowd`` is 0.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if something is not as it should be; names the file and the record.
    """
    content = _read_json(path)
    for key in ("images", "annotations", "categories"):
        if key not in content and not complete and key != "annotations":
            content[key] = []
        if not isinstance(content.get(key), list):
            raise ValueError(f"{path}: not a COCO panoptic file, it needs a list '{key}'")
    try:
        categories = _known(content, "categories", _check_category, complete)
        images = _known(content, "images", _check_image, complete)
        for position, annotation in enumerate(content["annotations"]):
            _check_segments(annotation, f"annotations[{position}]", categories)
        _each(content, "annotations", lambda record: _check_annotation(record, images))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    names = [category["name"] for category in content["categories"]]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{path}: categories have the same name: {reprlib.repr(twice)}")
    return content


def _check_ids(ids: NDArray[Any]) -> None:
    if ids.ndim != 2 or ids.dtype.kind not in "iu":
        raise ValueError(f"segment ids must be whole numbers (H, W), got {ids.dtype} {ids.shape}")


def _read_json(path: str | Path) -> dict[str, Any]:
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{path}: no such panoptic file")
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: not a COCO panoptic file, it must hold an object")
    return content


def _each(
    content: dict[str, Any], key: str, check: Callable[[dict[str, Any]], int | str]
) -> set[int | str]:
    """Check each record of a list; the ids that ``check`` returns, each of which occurs once."""
    found: set[int | str] = set()
    for position, record in enumerate(content[key]):
        where = f"{key}[{position}]"
        if not isinstance(record, dict):
            raise ValueError(f"{where}: must be an object, got {reprlib.repr(record)}")
        try:
            number = check(record)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        if number in found:
            raise ValueError(f"{where}: {number!r} occurs twice")
        found.add(number)
    return found


def _known(
    content: dict[str, Any],
    key: str,
    check: Callable[[dict[str, Any]], int | str],
    complete: bool,
) -> _Known:
    return _each(content, key, check) if complete or content[key] else None


def _check_category(record: dict[str, Any]) -> int:
    record["isthing"] = _integer(record, "isthing", 0, 1)
    record["id"] = _integer(record, "id")
    if not isinstance(record.get("name"), str):
        raise ValueError(f"name must be text, got {reprlib.repr(record.get('name'))}")
    return int(record["id"])


def _check_image(record: dict[str, Any]) -> int | str:
    record["height"] = _integer(record, "height", 1)
    record["width"] = _integer(record, "width", 1)
    _check_file_name(record)
    number = record["id"] = _image_id(record, "id")
    return number


def _check_annotation(record: dict[str, Any], images: _Known) -> int | str:
    number = record["image_id"] = _image_id(record, "image_id")
    if images is not None and number not in images:
        raise ValueError(f"no image has id {number!r}")
    _check_file_name(record)
    return number


def _check_segments(annotation: Any, where: str, categories: _Known) -> None:
    segments = annotation.get("segments_info") if isinstance(annotation, dict) else None
    if not isinstance(segments, list):
        raise ValueError(f"{where}: needs a list 'segments_info'")
    try:
        _each(annotation, "segments_info", lambda segment: _check_segment(segment, categories))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _check_segment(segment: dict[str, Any], categories: _Known) -> int:
    segment["category_id"] = _integer(segment, "category_id")
    if categories is not None and segment["category_id"] not in categories:
        raise ValueError(f"no category has id {segment['category_id']}")
    segment["iscrowd"] = _integer(segment, "iscrowd", 0, 1) if "iscrowd" in segment else 0
    segment["id"] = _integer(segment, "id", 1, MAX_ID)
    return int(segment["id"])


def _check_file_name(record: dict[str, Any]) -> None:
    name = record.get("file_name")
    path = PurePath(name) if isinstance(name, str) else PurePath()
    if not path.name or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"file_name must name a file in a folder, got {reprlib.repr(name)}")


def _image_id(record: dict[str, Any], key: str) -> int | str:
    value = record.get(key)
    if isinstance(value, str):  # as in Cityscapes
        return value
    return _integer(record, key)


def _integer(record: dict[str, Any], key: str, low: int = 0, high: int = 2**53) -> int:
    number = as_integer(record.get(key))
    if number is None or not low <= number <= high:
        span = f"in {low} to {high}" if high < 2**53 else f"from {low}"
        raise ValueError(
            f"{key} must be a whole number {span}, got {reprlib.repr(record.get(key))}"
        )
    return number
