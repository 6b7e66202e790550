"""A model of transformers that is loaded when it is first asked, and sent to workers unloaded."""

import copy
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import torch

from trace_mm.files.fingerprints import fingerprint
from trace_mm.models.devices import check_device, device_kind
from trace_mm.runs.group import note_once
from trace_mm.runs.job import UnusableError

Loaded = TypeVar("Loaded")


class HubModel(ABC, Generic[Loaded]):
    """Which model it is, where it computes, and what of it is loaded.

    Args:
        name: hub id or local folder.
        device: where it computes; a GPU if there is one, else the CPU, for None.

    Raises:
        ValueError: if there is no such device.
    """

    def __init__(self, name: str, device: str | torch.device | None = None) -> None:
        self.name, self.device = str(name), check_device(device)
        self._loaded: Loaded | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None}

    @property
    def uses_accelerator(self) -> bool:
        """Whether it computes elsewhere than on the CPU."""
        return device_kind(self.device) != "cpu"

    def on(self, device: str) -> Self:
        """The same on another device, not loaded."""
        other = copy.copy(self)  # by its state, which is without what is loaded
        other.device = check_device(device)
        return other

    @property
    def identity(self) -> Any:
        """What says which model it is, as JSON values: of a folder its files, else the name."""
        folder = Path(self.name).expanduser()
        return fingerprint(folder) if folder.is_dir() else self.name

    @abstractmethod
    def _read(self) -> Loaded:
        """The model and what it needs, read from files and placed on the device."""

    def _load(self) -> Loaded:
        if self._loaded is None:
            note_once(f"loading {self.name} ...")
            try:
                self._loaded = self._read()
            except ValueError as error:  # else it would be taken for an image's fault
                raise UnusableError(str(error)) from error
        return self._loaded
