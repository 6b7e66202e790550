"""Where the edges of an image come from: a model, or a folder that somebody has filled."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from trace_mm.apis.inputs import absolute_path
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
        """What all edges depend on, as JSON values."""
        ...

    def state(self, name: str) -> str:
        """What changes if the edges of the image of this name do; empty if only settings count."""
        ...


class HasImage(Protocol):
    """Anything that an image belongs to."""

    @property
    def image(self) -> NamedImage:
        """The image."""
        ...


Job = TypeVar("Job", bound=HasImage)


def with_edges(
    edges: EdgeSource, batch: Sequence[Job], fail: Callable[[Job, str], None]
) -> Iterator[tuple[Job, NDArray[np.float32]]]:
    """Edges of a batch; where one image spoils it, those of the others one by one.

    Args:
        edges: where they come from.
        batch: whose images are meant.
        fail: called for each that has none, with the reason.
    """
    try:
        lines = edges([job.image for job in batch])
    except ValueError as error:
        if len(batch) == 1:
            fail(batch[0], str(error))
            return
        for job in batch:
            yield from with_edges(edges, [job], fail)
    else:
        yield from zip(batch, lines, strict=True)


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

    def state(self, name: str) -> str:
        """Nothing: see ``EdgeSource``."""
        return ""


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

    def state(self, name: str) -> str:
        """Nothing: see ``EdgeSource``."""
        return ""


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
        self._owners: dict[str, str] = {}

    def __call__(self, images: Sequence[NamedImage]) -> list[NDArray[np.float32]]:
        """Edges of each image; see ``EdgeSource``."""
        return [self._read(image) for image in images]

    def claim(self, names: Sequence[str]) -> None:
        """Say which images will be asked for, so that a clash is found at once.

        Raises:
            ValueError: if two of them would have one edge map; names both.
        """
        for name in names:
            self._owned_stem(name)

    def settings(self) -> dict[str, Any]:
        """The folder."""
        return {"folder": str(absolute_path(self._folder.folder))}

    def state(self, name: str) -> str:
        """Size and modification time of an image's edge map; empty if there is none."""
        path = self._folder.find(self._stem(name))
        if path is None:
            return ""
        state = path.stat()
        return f"{path.name} {state.st_size} {state.st_mtime_ns}"

    def _read(self, image: NamedImage) -> NDArray[np.float32]:
        stem = self._owned_stem(image.name)
        try:
            return self._folder.read(stem, (image.pixels.shape[0], image.pixels.shape[1]))
        except FileNotFoundError as missing:
            raise ValueError(str(missing)) from None

    def _owned_stem(self, name: str) -> str:
        stem = self._stem(name)
        owner = self._owners.setdefault(stem, name)
        if owner != name:
            raise ValueError(f"{name} and {owner} would have one edge map, {stem}")
        return stem

    def _stem(self, name: str) -> str:
        """The path within the folder, or only its last part if there is a map of that name."""
        whole = Path(name).with_suffix("")
        by_stem = not self._folder.find(whole.as_posix()) and self._folder.find(whole.name)
        return whole.name if by_stem else whole.as_posix()
