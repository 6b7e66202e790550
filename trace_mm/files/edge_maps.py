"""Edge maps in files: a folder of them, and which of them is an image's."""

import io
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from trace_mm.files.atomic import write_atomically
from trace_mm.files.folders import IMAGE_SUFFIXES
from trace_mm.files.hash_index import HashIndex
from trace_mm.files.members import AnyFile, as_file
from trace_mm.files.orientation import Orientation
from trace_mm.files.png import encode_png

MAP_SUFFIXES = (".png", ".npz", ".npy")
_RESULT_FOLDERS = ("edges", "npz")  # where trace-mm edges puts maps, in the order of preference
_OTHER_RESULTS = {"overlay"}


class EdgeMaps:
    """Edge maps of images, found by what the images are called.

    An image's name is its path within the folder of images. Its map is the file of the same path
    with ``.png``, ``.npz`` or ``.npy`` after the suffix or instead of it. If there is none, it is
    the one that is called like the image but lies directly in the folder, unless the images have
    another of that name. A map that two images could have is an error that names both.

    Args:
        folder: of the maps, or what ``trace-mm edges --out`` was given, which holds it.
        invert: True if the maps have dark edges on a white ground.

    Raises:
        FileNotFoundError: if there is no such folder.
    """

    def __init__(self, folder: str | os.PathLike[str], invert: bool = False) -> None:
        self.folder = _map_folder(Path(folder))
        self.invert = invert
        self._known: list[_Images] = []
        self._expected = False  # whether all images are known that there are
        # Where that is not so: the first two images that were looked for, by what maps are called.
        self._asked: dict[tuple[str, bool], list[str]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without the images that are known: for other processes, once these have been checked."""
        return {**self.__dict__, "_known": [], "_asked": {}}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r}, invert={self.invert})"

    def expect(self, names: Sequence[str], others: Iterable[str] = ()) -> None:
        """Say which images will be asked for, so that what is wrong is found at once.

        In memory there are 32 bytes an image besides what is given, which is kept.

        Args:
            names: of these images.
            others: of images that are there as well, and could have the same maps.

        Raises:
            ValueError: if two of them could have one map; names both.
            FileNotFoundError: if none of them has a map.
        """
        given = (names, others if isinstance(others, Sequence) else list(others))
        self._known += [_Images(some) for some in given if len(some)]
        self._expected = True
        found = [self.find(name) is not None for name in names]
        if names and not any(found):
            raise FileNotFoundError(self._nothing_fits(names[0], len(names)))

    def find(self, name: str) -> Path | None:
        """The map of an image, if there is one.

        Raises:
            ValueError: if it could be that of another image that is known by now; names both.
        """
        whole = _without_suffix(name)
        stems = ((whole, False), (_last_part(whole), True))
        for called in () if self._expected else stems:
            asked = self._asked.setdefault(called, [])
            if len(asked) < 2 and name not in asked:  # as many as a message names
                asked.append(name)
        kept = self._file(name)
        if kept is not None:
            return kept
        for stem, short in stems:
            path = self._file(stem)
            if path is None:
                continue
            owners = chain.from_iterable(images.of(stem, short) for images in self._known)
            asked = self._asked.get((stem, short), [])
            other = next((owner for owner in chain(owners, asked) if owner != name), None)
            if other is not None:
                raise ValueError(
                    f"{path}: it may be the edge map of {name} or of {other}: call maps like their "
                    f"images, with folders"
                )
            return path
        return None

    def read(
        self, name: str, size: tuple[int, int], orientation: Orientation | None = None
    ) -> NDArray[np.float32]:
        """Edges of an image.

        Args:
            name: of the image.
            size: (H, W) of the image.
            orientation: of the image, to which a map is turned that is of the other one.

        Returns:
            float32 (H, W) in [0, 1].

        Raises:
            FileNotFoundError: if it has no map.
            ValueError: if the map cannot be read, is of another size, or could be of another image.
        """
        path = self.find(name)
        if path is None:
            wanted = self.folder / f"{_without_suffix(name)}{MAP_SUFFIXES[0]}"
            raise FileNotFoundError(f"{wanted}: no such edge map (nor .npz or .npy)")
        edges = read_edges_of(path, size, orientation)
        return 1 - edges if self.invert else edges

    def state(self, name: str) -> str:
        """What changes if an image's map does; empty if it has none."""
        path = self.find(name)
        if path is None:
            return ""
        state = path.stat()
        return f"{path.name} {state.st_size} {state.st_mtime_ns}"

    def _file(self, stem: str) -> Path | None:
        candidates = (f"{self.folder}/{stem}{suffix}" for suffix in MAP_SUFFIXES)
        return next((Path(one) for one in candidates if os.path.isfile(one)), None)  # noqa: PTH113

    def _nothing_fits(self, name: str, count: int) -> str:
        stem = _without_suffix(name)
        inside = sorted(path.name for path in self.folder.iterdir() if path.name[:1] != ".")
        held = f"it holds {', '.join(inside[:3])}" if inside else "it is empty"
        below = next((part for part in _RESULT_FOLDERS if part in inside), None)
        hint = "" if below is None else f": did you mean {self.folder / below}?"
        return (
            f"{self.folder}: holds an edge map of none of the {count} images; {name} needs "
            f"{stem}.png, .npz or .npy, but {held}{', ...' if len(inside) > 3 else ''}{hint}"
        )


class _Images:
    """Names of images, found by their paths without suffix, and by the last parts of these."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._wholes = HashIndex(len(names), self._whole)
        self._shorts = HashIndex(len(names), lambda number: _last_part(self._whole(number)))

    def of(self, stem: str, short: bool) -> Iterator[str]:
        """Names of the images of a path without suffix, or of a last part."""
        return map(self._names.__getitem__, (self._shorts if short else self._wholes).find(stem))

    def _whole(self, number: int) -> str:
        return _without_suffix(self._names[number])


def read_edges_of(
    path: AnyFile, size: tuple[int, int], orientation: Orientation | None = None
) -> NDArray[np.float32]:
    """Edges of an image; see :meth:`EdgeMaps.read`, also for the arguments.

    Raises:
        ValueError: if the map cannot be read, or is of another size; names it.
    """
    edges = read_edge_map(path)
    if orientation is not None:
        edges = orientation.fit(edges, size)
    if edges.shape != tuple(size):
        raise ValueError(f"{path}: edge map is {edges.shape} (H, W), but the image is {size}")
    return edges


def read_edge_map(path: str | os.PathLike[str] | AnyFile) -> NDArray[np.float32]:
    """A soft edge map from a grey PNG of 8 or 16 bits, or from floats in ``.npz`` or ``.npy``.

    Returns:
        float32 (H, W) in [0, 1].

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file cannot be read or holds anything else.
    """
    path = as_file(path)
    if isinstance(path, Path) and not path.is_file():
        raise FileNotFoundError(f"{path}: no such edge map")
    edges = _read_array(path) if path.suffix in (".npz", ".npy") else _read_grey(path)
    if edges.ndim != 2:
        raise ValueError(f"{path}: an edge map has two dimensions, got shape {edges.shape}")
    if edges.size and not (edges.min() >= 0 and edges.max() <= 1):
        raise ValueError(f"{path}: edges must be in [0, 1], got {edges.min()} to {edges.max()}")
    return edges


def write_edge_map(path: Path, edges: NDArray[np.float32]) -> None:
    """Write edges (H, W) in [0, 1] as a grey PNG of 16 bits, whole.

    Raises:
        ValueError: if the edges are not (H, W) in [0, 1].
        OSError: if it cannot be written; names ``path``.
    """
    if edges.ndim != 2 or not edges.size or not (edges.min() >= 0 and edges.max() <= 1):
        raise ValueError(f"{path}: edges must be (H, W) in [0, 1], got shape {edges.shape}")
    write_atomically(path, encode_png(np.rint(edges * 65535).astype(np.uint16)))


def _map_folder(folder: Path) -> Path:
    """The folder itself, or that of the maps in it if it is what ``trace-mm edges`` has written."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of edge maps")
    names = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                names.add(entry.name)
            elif PurePath(entry.name).suffix in MAP_SUFFIXES:
                return folder
    if names <= {*_RESULT_FOLDERS, *_OTHER_RESULTS}:
        return next((folder / name for name in _RESULT_FOLDERS if name in names), folder)
    return folder


def _without_suffix(name: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in IMAGE_SUFFIXES else str(path)


def _last_part(path: str) -> str:
    return path.rpartition("/")[2]


def _read_grey(path: AnyFile) -> NDArray[np.float32]:
    # Not imread: OpenCV crashes on names that are no UTF-8.
    data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    flags = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
    pixels = cv2.imdecode(data, flags) if data.size else None
    if pixels is None:
        raise ValueError(f"{path}: not a readable image")
    if pixels.ndim == 3:
        if (pixels != pixels[..., :1]).any():
            raise ValueError(f"{path}: an edge map is grey, but this image has colours")
        pixels = pixels[..., 0]
    white = {"uint8": 255, "uint16": 65535}.get(pixels.dtype.name)
    if white is None:
        raise ValueError(f"{path}: an edge map has 8 or 16 bits, got {pixels.dtype}")
    return pixels.astype(np.float32) / np.float32(white)


def _read_array(path: AnyFile) -> NDArray[np.float32]:
    try:
        content = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content.astype(np.float32)
        with content:
            names = content.files
            name = "edges" if "edges" in names else names[0] if len(names) == 1 else None
            if name is not None:
                return np.asarray(content[name]).astype(np.float32)
    except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: not a readable array of numbers: {error}") from error
    raise ValueError(f"{path}: no array named edges, only {names}")
