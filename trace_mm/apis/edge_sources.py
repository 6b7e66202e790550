"""Where the edges of an image come from: a model, or a folder that somebody has filled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from trace_mm.apis.fingerprints import fingerprint
from trace_mm.apis.results import edges_of
from trace_mm.models import EdgeFolder
from trace_mm.structures import EdgeDataSample

Image = NDArray[np.float32]


@dataclass(frozen=True)
class NamedImage:
    """An image and how it is called.

    Attributes:
        name: path within the folder of images, with suffix.
        pixels: float32 (H, W, 3) RGB in [0, 1].
    """

    name: str
    pixels: Image


class EdgeSource(Protocol):
    """Edges of images."""

    def __call__(self, images: Sequence[NamedImage]) -> list[NDArray[np.float32]]:
        """Edges (H, W) in [0, 1] of each image.

        Raises:
            ValueError: if an image has none; names it.
        """
        ...

    def settings(self) -> dict[str, Any]:
        """What the edges depend on, as JSON values."""
        ...


class PredictedEdges:
    """Edges that a model predicts.

    Args:
        predict: of images float32 (H, W, 3), such as ``TraceInferencer.predict_images``.
        settings: what the predictions depend on.
    """

    def __init__(
        self, predict: Callable[[list[Image]], Sequence[EdgeDataSample]], settings: dict[str, Any]
    ) -> None:
        self._predict, self._settings = predict, settings

    def __call__(self, images: Sequence[NamedImage]) -> list[NDArray[np.float32]]:
        """Edges of each image; see ``EdgeSource``."""
        return [edges_of(sample) for sample in self._predict([image.pixels for image in images])]

    def settings(self) -> dict[str, Any]:
        """The model's settings."""
        return self._settings


class EdgeModel:
    """Edges that a registered model predicts.

    Args:
        model: takes images (3, H, W) and ``EdgeDataSample``s, such as ``TraceStudent``,
            ``CannyDetector`` or ``EdgeFolder``.
        settings: what the predictions depend on.
    """

    def __init__(self, model: nn.Module, settings: dict[str, Any]) -> None:
        self._model, self._settings = model, settings

    def __call__(self, images: Sequence[NamedImage]) -> list[NDArray[np.float32]]:
        """Edges of each image; see ``EdgeSource``."""
        tensors = [torch.from_numpy(image.pixels).permute(2, 0, 1) for image in images]  # (3, H, W)
        samples = [EdgeDataSample(metainfo={"img_path": image.name}) for image in images]
        try:
            with torch.no_grad():
                predicted = self._model(tensors, samples, mode="predict")
        except FileNotFoundError as missing:
            raise ValueError(str(missing)) from missing
        return [edges_of(sample) for sample in predicted]

    def settings(self) -> dict[str, Any]:
        """The model's settings."""
        return self._settings


class StoredEdges:
    """Edge maps in a folder, such as ``trace-mm edges`` writes.

    Args:
        folder: holds ``<name>.png``, ``.npz`` or ``.npy`` for each image, where the name is the
            image's path within its folder, or only its stem, without suffix.

    Raises:
        FileNotFoundError: if there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = EdgeFolder(str(folder))

    def __call__(self, images: Sequence[NamedImage]) -> list[NDArray[np.float32]]:
        """Edges of each image; see ``EdgeSource``."""
        return [self._read(image) for image in images]

    def settings(self) -> dict[str, Any]:
        """The folder and its state."""
        return {"folder": str(self._folder.folder), "content": fingerprint(self._folder.folder)}

    def _read(self, image: NamedImage) -> NDArray[np.float32]:
        name = Path(image.name).with_suffix("")
        size = image.pixels.shape[0], image.pixels.shape[1]
        try:
            return self._folder.read(name.as_posix(), size)
        except FileNotFoundError as missing:
            try:
                return self._folder.read(name.name, size)
            except FileNotFoundError:
                raise ValueError(str(missing)) from None
