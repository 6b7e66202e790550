"""Training crops for the embedded backbone: procedural scenes and open photos."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from trace_mm.datasets.scenes import render_scene
from trace_mm.files import load_image

Image = NDArray[np.uint8]  # (H, W, 3) RGB

_PHOTO_SHORT_SIDE = 320
_SCENE_SIDE = 128
_LARGEST_ZOOM = 2.0


def load_photos(folder: Path) -> list[Image]:
    """Read all JPEGs of a folder, shrunk to a short side of 320 pixels.

    Raises:
        FileNotFoundError: if the folder holds no JPEG.
        ValueError: if a file cannot be decoded; names it.
    """
    photos = []
    for path in sorted(folder.glob("*.jpg")):
        photo = np.rint(load_image(path) * 255).astype(np.uint8)
        shrink = _PHOTO_SHORT_SIDE / min(photo.shape[:2])
        if shrink < 1:
            photo = cv2.resize(photo, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        photos.append(photo.astype(np.uint8))
    if not photos:
        raise FileNotFoundError(f"no .jpg files in {folder}")
    return photos


def _random_crop(rng: np.random.Generator, image: Image, side: int) -> Image:
    top = int(rng.integers(image.shape[0] - side + 1))
    left = int(rng.integers(image.shape[1] - side + 1))
    crop = image[top : top + side, left : left + side]
    return crop[:, ::-1] if rng.random() < 0.5 else crop


def scene_crop(rng: np.random.Generator, seed: int, index: int, side: int) -> Image:
    """A crop of a scene that is rendered at 128 to 256 pixels a side."""
    zoom = 1.0 if rng.random() < 0.6 else rng.uniform(1.0, _LARGEST_ZOOM)
    size = max(side, round(_SCENE_SIDE * zoom))
    return _random_crop(rng, render_scene(seed, index, (size, size)).image, side)


def photo_crop(
    rng: np.random.Generator, photos: list[Image], side: int, zoom: float = 2.2
) -> Image:
    """A crop of a photo that is scaled so that the crop spans much or little of it."""
    photo = photos[int(rng.integers(len(photos)))]
    scale = rng.uniform(1.0, zoom) * side / min(photo.shape[:2])
    height, width = (max(side, round(length * scale)) for length in photo.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return _random_crop(rng, cv2.resize(photo, (width, height), interpolation=method), side)


class TrainingCrops(IterableDataset[torch.Tensor]):
    """An endless stream of float32 (3, side, side) crops in [-1, 1].

    Args:
        photos: from :func:`load_photos`.
        side: of the crops, in pixels.
        photo_share: how many of the crops come from photos.
        seed: of the stream. Workers draw disjoint scenes.
        photo_zoom: a photo's short side is at most so many times the crop's.
    """

    def __init__(
        self,
        photos: list[Image],
        side: int,
        photo_share: float,
        seed: int,
        photo_zoom: float = 2.2,
    ) -> None:
        self.photos, self.side, self.photo_share, self.seed = photos, side, photo_share, seed
        self.photo_zoom = photo_zoom

    def __iter__(self) -> Iterator[torch.Tensor]:
        worker = get_worker_info()
        number, count = (worker.id, worker.num_workers) if worker else (0, 1)
        rng = np.random.default_rng([self.seed, number])
        index = number
        while True:
            if rng.random() < self.photo_share:
                crop = photo_crop(rng, self.photos, self.side, self.photo_zoom)
            else:
                crop = scene_crop(rng, self.seed, index, self.side)
                index += count
            pixels = torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1)
            yield pixels.float() / 127.5 - 1.0
