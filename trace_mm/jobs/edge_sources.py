"""Where the edges of an image come from: a model, or a folder that somebody has filled."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from trace_mm.files import Orientation, absolute_path
from trace_mm.files.edge_maps import EdgeMaps
from trace_mm.files.members import Member
from trace_mm.models.devices import check_device, device_kind
from trace_mm.models.edges_from import known_edges
from trace_mm.models.identity import describe_model
from trace_mm.models.model_config import (
    as_trace_student,
    build_model,
    class_name,
    model_class,
    plain_config,
    with_dtype,
)
from trace_mm.runs.group import note_once
from trace_mm.runs.job import UnusableError
from trace_mm.short_repr import ShortRepr

if TYPE_CHECKING:
    import torch

    from trace_mm.structures import EdgeDataSample

Image = NDArray[np.float32]


@dataclass(frozen=True, repr=False)
class NamedImage(ShortRepr):
    """An image and how it is called.

    Attributes:
        name: path within the folder of images, with suffix.
        pixels: float32 (H, W, 3) RGB in [0, 1].
        orientation: in which they are.
        stored: its edge map, where that comes along.
    """

    name: str
    pixels: Image
    orientation: Orientation = Orientation()  # noqa: RUF009 (it cannot be changed)
    stored: Member | None = None


Placed = TypeVar("Placed")


def placed(source: Placed, device: str | None) -> Placed:
    """What makes edges, on a device; as it is for None, or if it cannot be moved."""
    on = getattr(source, "on", None)
    return source if device is None or on is None else on(device)


def is_accelerated(source: object) -> bool:
    """Whether what makes edges says that it computes elsewhere than on the CPU."""
    return bool(getattr(source, "uses_accelerator", False))


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
        from trace_mm.structures import edges_of

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
    """Edges that a registered model predicts, known by its config: it is loaded at the first use.

    So it can be described, and handed to other processes, without loading anything.

    Args:
        config: of the model, such as that of :func:`trace_mm.models.model_config.model_config`.
        device: where it computes; the first GPU, else the CPU, for None.
        elsewhere: whether it is of another machine, so that this one need not have the device;
            there, :meth:`on` says which it is.
        name: by which a person is told that it is loaded; empty tells nothing.

    Raises:
        FileNotFoundError: if a checkpoint or backbone is missing.
        ValueError: if an option is wrong, or there is no such device.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        device: str | torch.device | None = None,
        elsewhere: bool = False,
        name: str = "",
    ) -> None:
        self.device = check_device(device, elsewhere)
        self._name = name
        self.config = with_dtype(as_trace_student(plain_config(config)), self.device)
        self._described = describe_model(self.config)
        self._model: Any = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({class_name(self.config)!r}, device={self.device!r})"

    def __getstate__(self) -> dict[str, Any]:
        # The class is of no use but that another process imports its module.
        return {**self.__dict__, "_model": None, "_class": model_class(self.config)}

    @property
    def model(self) -> Any:
        """The model, on its device and ready to predict; loaded if it is not yet.

        Raises:
            FileNotFoundError: if a checkpoint or backbone is missing.
            ValueError: if an option is wrong, or a checkpoint does not fit.
        """
        if self._model is None:
            note_once(self._name and f"loading {self._name} ...")
            self._model = build_model(self.config).to(self.device).eval()
        return self._model

    @property
    def uses_accelerator(self) -> bool:
        """Whether it computes elsewhere than on the CPU."""
        return device_kind(self.device) != "cpu"

    def on(self, device: str | torch.device) -> EdgeModel:
        """The same model on another device, in the same dtype, not loaded.

        Raises:
            ValueError: if there is no such device.
        """
        other = copy.copy(self)
        other.device, other._model = check_device(device), None
        return other

    def predict(self, images: Sequence[NamedImage]) -> list[EdgeDataSample]:
        """Predictions of images, with ``pred_edges``.

        Raises:
            FileNotFoundError: if the model cannot be loaded; see :attr:`model`.
            UnusableError: likewise.
            ValueError: if an image has no edges, or the model is no edge model.
        """
        from trace_mm.jobs.edge_predictions import predict_images

        try:
            model = self.model
        except ValueError as error:  # else it would be taken for the fault of these images
            raise UnusableError(str(error)) from error
        try:
            return predict_images(model, images, self.device)
        except FileNotFoundError as missing:
            raise ValueError(str(missing)) from missing

    def __call__(self, images: Sequence[NamedImage]) -> list[NDArray[np.float32]]:
        """Edges of each image; see ``EdgeSource``."""
        from trace_mm.structures import edges_of

        return [edges_of(sample) for sample in self.predict(images)]

    def expect(self, names: Sequence[str], others: Iterable[str] = ()) -> None:
        """Nothing: any image has edges."""

    def folders(self) -> list[Path]:
        """None: see ``EdgeSource``."""
        return []

    def settings(self) -> dict[str, Any]:
        """The model's identity, and its kind of device: a run may go on on another GPU."""
        return {**self._described, "device": device_kind(self.device)}

    def state(self, name: str) -> str:
        """Nothing: see ``EdgeSource``."""
        return ""


class ImagePredictions:
    """What a model predicts of images without names, in whichever process it is loaded.

    Args:
        model: loaded at the first use.
    """

    def __init__(self, model: EdgeModel) -> None:
        self._model = model

    def __call__(self, images: Sequence[Image]) -> list[EdgeDataSample]:
        """Predictions of float32 (H, W, 3) RGB images in [0, 1]; see ``EdgeModel.predict``."""
        named = [NamedImage(f"image_{number:06d}", image) for number, image in enumerate(images)]
        return self._model.predict(named)

    def predict_named(self, images: Sequence[NamedImage]) -> list[EdgeDataSample]:
        """Predictions of images with names, by which they find their prompts."""
        return self._model.predict(images)

    @property
    def uses_accelerator(self) -> bool:
        """Whether it computes elsewhere than on the CPU."""
        return self._model.uses_accelerator

    def on(self, device: str | torch.device) -> ImagePredictions:
        """The same on another device; see ``EdgeModel.on``."""
        return ImagePredictions(self._model.on(device))


def edge_source_of(
    config: Mapping[str, Any],
    device: str | torch.device | None = None,
    elsewhere: bool = False,
    name: str = "",
) -> EdgeModel | StoredEdges:
    """Where a config's edges come from: a model, or the files of an ``EdgeFolder``.

    Args:
        config: of a registered model.
        device: see :class:`EdgeModel`.
        elsewhere: likewise.
        name: likewise.

    Raises:
        FileNotFoundError: if a checkpoint, backbone or folder is missing.
        ValueError: if an option is wrong, or there is no such device.
    """
    config = known_edges(plain_config(config))
    if class_name(config) != "EdgeFolder":
        return EdgeModel(config, device, elsewhere, name)
    options = {name: value for name, value in config.items() if name != "type"}
    try:
        return StoredEdges(**options)
    except TypeError as error:
        raise ValueError(f"cannot build the model: {error}") from error


class StoredEdges:
    """Edge maps in a folder, such as ``trace-mm edges`` writes.

    Args:
        folder: holds ``<name>.png``, ``.npz`` or ``.npy`` for each image, where the name is the
            image's path within its folder, or only its stem, without suffix; see
            :class:`trace_mm.files.edge_maps.EdgeMaps`. A map of an upright photo is turned back if
            the photo is not upright, and the other way round.
        invert: True if the maps have dark edges on a white ground.

    Raises:
        FileNotFoundError: if there is no such folder.
    """

    def __init__(self, folder: str | os.PathLike[str], invert: bool = False) -> None:
        self._maps = EdgeMaps(folder, invert)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._maps.folder)!r})"

    def __call__(self, images: Sequence[NamedImage]) -> list[NDArray[np.float32]]:
        """Edges of each image; see ``EdgeSource``."""
        return [self._read(image) for image in images]

    def expect(self, names: Sequence[str], others: Iterable[str] = ()) -> None:
        """Find what is wrong with the maps of these images at once; see ``EdgeMaps.expect``."""
        self._maps.expect(names, others)

    def on(self, device: str | torch.device) -> StoredEdges:
        """Itself: nothing is computed."""
        return self

    def folders(self) -> list[Path]:
        """The folder of the maps."""
        return [self._maps.folder]

    def settings(self) -> dict[str, Any]:
        """The folder."""
        inverted = {"invert": True} if self._maps.invert else {}
        return {"folder": str(absolute_path(self._maps.folder)), **inverted}

    def state(self, name: str) -> str:
        """Size and modification time of an image's edge map; empty if there is none."""
        return self._maps.state(name)

    def _read(self, image: NamedImage) -> NDArray[np.float32]:
        try:
            size = image.pixels.shape[0], image.pixels.shape[1]
            return self._maps.read(image.name, size, image.orientation)
        except FileNotFoundError as missing:
            raise ValueError(str(missing)) from None
