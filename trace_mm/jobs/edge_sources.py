"""Where the edges of an image come from: a model, or a folder that somebody has filled."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from trace_mm.files import Orientation, absolute_path
from trace_mm.files.edge_maps import EdgeMaps
from trace_mm.models import EdgeFolder
from trace_mm.models.devices import check_device
from trace_mm.models.model_config import (
    as_trace_student,
    build_model,
    method_of,
    run_settings,
    usual_dtype,
)
from trace_mm.short_repr import ShortRepr
from trace_mm.structures import EdgeDataSample, edges_of

Image = NDArray[np.float32]


@dataclass(frozen=True, repr=False)
class NamedImage(ShortRepr):
    """An image and how it is called.

    Attributes:
        name: path within the folder of images, with suffix.
        pixels: float32 (H, W, 3) RGB in [0, 1].
        orientation: in which they are.
    """

    name: str
    pixels: Image
    orientation: Orientation = Orientation()  # noqa: RUF009 (it cannot be changed)


class EdgeSource(Protocol):
    """Edges of images."""

    def __call__(self, images: Sequence[NamedImage]) -> list[NDArray[np.float32]]:
        """Edges (H, W) in [0, 1] of each image.

        Raises:
            ValueError: if an image has none; names it.
        """
        ...

    def expect(self, names: Sequence[str], others: Iterable[str] = ()) -> None:
        """Say which images will be asked for, before any is, so that faults are found at once.

        Args:
            names: of these images.
            others: of images in the same folder that will not be asked for.

        Raises:
            ValueError: if edges of some cannot be told apart; names them.
            FileNotFoundError: if there are edges of none of them.
        """
        ...

    def folders(self) -> list[Path]:
        """Folders whose files are read, in which nothing may be written."""
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

    def expect(self, names: Sequence[str], others: Iterable[str] = ()) -> None:
        """Nothing: any image has edges."""

    def folders(self) -> list[Path]:
        """None: see ``EdgeSource``."""
        return []

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
        self._folders = [module for module in model.modules() if isinstance(module, EdgeFolder)]

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

    def expect(self, names: Sequence[str], others: Iterable[str] = ()) -> None:
        """Tell the model, if it looks edges up by names; see ``EdgeSource``."""
        others = list(others)
        for folder in self._folders:
            folder.expect(names, others)

    def folders(self) -> list[Path]:
        """Those in which the model looks edges up."""
        return [folder.maps.folder for folder in self._folders]

    def settings(self) -> dict[str, Any]:
        """The model's settings."""
        return self._settings

    def state(self, name: str) -> str:
        """What changes with the image's stored edges, if the model looks them up."""
        return " ".join(folder.maps.state(name) for folder in self._folders)


def build_edge_model(config: dict[str, Any], device: str | torch.device | None) -> EdgeModel:
    """The edge model of a config, ready to predict.

    Args:
        config: of a registered model.
        device: where it computes; the first GPU, else the CPU, for None.

    Raises:
        FileNotFoundError: if a checkpoint or backbone is missing.
        ValueError: if the config is wrong, or there is no such device.
    """
    place = check_device(device)
    config = as_trace_student(config)
    if method_of(config) == "student" and "dtype" not in config["backbone"]:
        dtype = usual_dtype(config, place) or "float32"
        config = {**config, "backbone": {**config["backbone"], "dtype": dtype}}
    model = build_model(config).to(place).eval()
    return EdgeModel(model, run_settings(model, config, place))


class StoredEdges:
    """Edge maps in a folder, such as ``trace-mm edges`` writes.

    Args:
        folder: holds ``<name>.png``, ``.npz`` or ``.npy`` for each image, where the name is the
            image's path within its folder, or only its stem, without suffix; see
            :class:`trace_mm.files.edge_maps.EdgeMaps`. A map of an upright photo is turned back if
            the photo is not upright, and the other way round.

    Raises:
        FileNotFoundError: if there is no such folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._maps = EdgeMaps(folder)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._maps.folder)!r})"

    def __call__(self, images: Sequence[NamedImage]) -> list[NDArray[np.float32]]:
        """Edges of each image; see ``EdgeSource``."""
        return [self._read(image) for image in images]

    def expect(self, names: Sequence[str], others: Iterable[str] = ()) -> None:
        """Find what is wrong with the maps of these images at once; see ``EdgeMaps.expect``."""
        self._maps.expect(names, others)

    def folders(self) -> list[Path]:
        """The folder of the maps."""
        return [self._maps.folder]

    def settings(self) -> dict[str, Any]:
        """The folder."""
        return {"folder": str(absolute_path(self._maps.folder))}

    def state(self, name: str) -> str:
        """Size and modification time of an image's edge map; empty if there is none."""
        return self._maps.state(name)

    def _read(self, image: NamedImage) -> NDArray[np.float32]:
        try:
            size = image.pixels.shape[0], image.pixels.shape[1]
            return self._maps.read(image.name, size, image.orientation)
        except FileNotFoundError as missing:
            raise ValueError(str(missing)) from None
