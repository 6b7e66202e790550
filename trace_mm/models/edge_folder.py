"""Edges that another detector has written to a folder."""

import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.model import BaseModel

from trace_mm.registry import MODELS
from trace_mm.structures import EdgeDataSample

_SUFFIXES = (".png", ".npz", ".npy")


@MODELS.register_module()
class EdgeFolder(BaseModel):
    """Reads each image's edges from a file of the same stem instead of detecting them.

    Args:
        folder: holds ``<stem>.png`` (8 or 16 bits, grey), ``<stem>.npz`` (one array, or one named
            ``edges``) or ``<stem>.npy`` (both float in [0, 1]) for each image. An image that does
            not come from a file is looked up by its id.
        invert: True if the maps have dark edges on a white ground.

    Raises:
        FileNotFoundError: if there is no such folder.
    """

    def __init__(self, folder: str, invert: bool = False) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.invert = invert
        if not self.folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder of edge maps")

    def forward(
        self,
        inputs: list[torch.Tensor],
        data_samples: list[EdgeDataSample] | None = None,
        mode: str = "predict",
    ) -> list[EdgeDataSample]:
        """Look up the edges of each image.

        Args:
            inputs: images (3, H, W), of which only the sizes matter.
            data_samples: with ``img_path`` or ``image_id``.
            mode: "predict".

        Returns:
            The samples, each with ``pred_edges`` float32 (H, W) in [0, 1].

        Raises:
            FileNotFoundError: if an image has no file.
            ValueError: if a file cannot be read or is not of the image's size, or for another mode.
        """
        if mode != "predict":
            raise ValueError(f"EdgeFolder can only predict, got mode {mode!r}")
        if data_samples is None:
            raise ValueError("EdgeFolder needs data_samples that name the images")
        for image, sample in zip(inputs, data_samples, strict=True):
            path = sample.get("img_path")
            stem = str(sample.get("image_id")) if path is None else Path(path).stem
            edges = self.read(stem, (image.shape[-2], image.shape[-1]))
            sample.pred_edges = torch.from_numpy(edges).to(image.device)
        return data_samples

    def find(self, stem: str) -> Path | None:
        """The file of the image with this stem, if there is one."""
        candidates = (self.folder / f"{stem}{suffix}" for suffix in _SUFFIXES)
        return next((candidate for candidate in candidates if candidate.is_file()), None)

    def read(self, stem: str, size: tuple[int, int]) -> np.ndarray:
        """Edges float32 (H, W) in [0, 1] of the image with this stem and size (H, W)."""
        path = self.find(stem)
        if path is None:
            first = self.folder / f"{stem}{_SUFFIXES[0]}"
            raise FileNotFoundError(f"{first}: no such edge map (nor .npz or .npy)")
        edges = read_edge_map(path)
        if edges.shape != size:
            raise ValueError(f"{path}: edge map is {edges.shape} (H, W), but the image is {size}")
        return 1 - edges if self.invert else edges


def read_edge_map(path: str | Path) -> np.ndarray:
    """A soft edge map from a grey PNG of 8 or 16 bits, or from floats in ``.npz`` or ``.npy``.

    Returns:
        float32 (H, W) in [0, 1].

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file cannot be read or holds anything else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such edge map")
    edges = _read_array(path) if path.suffix in (".npz", ".npy") else _read_grey(path)
    if edges.ndim != 2:
        raise ValueError(f"{path}: an edge map has two dimensions, got shape {edges.shape}")
    if edges.size and not (edges.min() >= 0 and edges.max() <= 1):
        raise ValueError(f"{path}: edges must be in [0, 1], got {edges.min()} to {edges.max()}")
    return edges


def _read_grey(path: Path) -> np.ndarray:
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
    return pixels.astype(np.float32) / white


def _read_array(path: Path) -> np.ndarray:
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content.astype(np.float32)
        with content:
            names = content.files
            name = "edges" if "edges" in names else names[0] if len(names) == 1 else None
            if name is not None:
                return content[name].astype(np.float32)
    except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: not a readable array of numbers: {error}") from error
    raise ValueError(f"{path}: no array named edges, only {names}")
