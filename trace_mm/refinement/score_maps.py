"""Score maps of classes in files, as open-vocabulary methods leave them."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.files import SizeEvidence, map_sizes, same_shape
from trace_mm.files.id_maps import ID_COLORS, read_id_map
from trace_mm.files.images import MAX_PIXELS
from trace_mm.files.members import AnyFile

SCORE_SUFFIXES = (".npz", ".npy", ".png")
_NAME = "scores"


def read_scores(path: AnyFile, size: tuple[int, int]) -> NDArray[np.float32]:
    """The scores of a file.

    A ``.npz`` holds one array, or one that is called ``scores``; a ``.npy`` holds it alone: float
    (C, h, w), at any resolution. A ``.png`` of the image's size holds class ids, of which each
    pixel's class has the score 1 and all others 0; of void, 255 in 8 bits, all have 0.

    Args:
        path: of the file.
        size: (H, W) of the image.

    Returns:
        float32 (C, h, w). Of a ``.png``, C is the largest id plus one.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, holds no finite scores, or has not the image's shape;
            names the file.
    """
    if path.name.lower().endswith(".png"):
        return _of_ids(path, size)
    scores = _load(path)
    if not same_shape(scores.shape[1:], size):
        raise ValueError(f"{path}: scores {scores.shape[1:]} have not the shape of {size} (H, W)")
    values = np.asarray(scores, dtype=np.float32)
    if not np.isfinite(values).all():
        raise ValueError(f"{path}: scores must be finite")
    return values


def score_evidence(path: AnyFile) -> SizeEvidence:
    """What a file of scores tells of its image's size; nothing if it is damaged."""
    if path.name.lower().endswith(".png"):
        return SizeEvidence(map_sizes(path))
    try:
        shape = _load(path).shape
    except ValueError:
        return SizeEvidence()
    return SizeEvidence([(shape[1], shape[2])], scaled=True)


def _of_ids(path: AnyFile, size: tuple[int, int]) -> NDArray[np.float32]:
    found = read_id_map(path, size)
    if found.stored == ID_COLORS:
        raise ValueError(f"{path}: must hold ids of classes, but holds colours")
    ids = np.where(found.ids == found.void, -1, found.ids)
    numbers = np.arange(int(ids.max()) + 1)
    return (ids == numbers[:, None, None]).astype(np.float32)  # (C, H, W)


def _load(path: AnyFile) -> NDArray[Any]:
    """The array (C, h, w) of a file of NumPy.

    Raises:
        ValueError: if there is none; names the file.
    """
    try:
        with path.open("rb") if isinstance(path, Path) else io.BytesIO(path.read_bytes()) as file:
            values = np.load(file, allow_pickle=False)
            if isinstance(values, np.lib.npyio.NpzFile):
                values = values[_array_name(values.files)]
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such score map") from None
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not a readable array of scores: {error}") from error
    if not isinstance(values, np.ndarray) or values.ndim != 3 or not values.size:
        raise ValueError(f"{path}: must hold scores (C, h, w), is {getattr(values, 'shape', '?')}")
    if values.dtype.kind != "f":
        raise ValueError(f"{path}: scores must be floats, got {values.dtype}")
    if values.shape[1] * values.shape[2] > MAX_PIXELS:
        raise ValueError(f"{path}: a map of {values.shape[1:]} (h, w) is too large")
    return values


def _array_name(names: list[str]) -> str:
    if len(names) != 1 and _NAME not in names:
        raise ValueError(f"holds the arrays {names}, of which none is called {_NAME!r}")
    return _NAME if _NAME in names else names[0]
