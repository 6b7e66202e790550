"""The teacher's edges of training images, computed once and kept as files."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from trace_mm.files import remove_abandoned, try_claim, write_atomically
from trace_mm.models.identity import describe_model
from trace_mm.models.model_config import with_trained_dtype
from trace_mm.structures import EdgeDataSample

SETTINGS_FILE = "teacher.json"
_CLAIMS_FILE = ".claims"
FORMAT = 3
"""Of entries. To be raised when what is stored of a prediction changes; what models predict has a
number of its own, :data:`trace_mm.models.identity.RESULTS`."""

LONGEST_SIDE = 128
"""Cells along the longer side of the entries of teachers without a grid of their own."""

_FINE_CELLS = 96 * 96  # up to so many have 16 bits each, more have 8
_WHITE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}


def entry_of(sample: EdgeDataSample) -> Tensor:
    """What is stored of a prediction.

    Returns:
        float (h, w) in [0, 1]: edges on the model's token grid where there are, else at the
        image's size, or reduced to :data:`LONGEST_SIDE` by the mean over areas.
    """
    if "token_edges" in sample:
        return sample.token_edges
    edges = sample.pred_edges.float()
    longest = max(edges.shape)
    if longest <= LONGEST_SIDE:
        return edges
    grid = [max(1, round(side * LONGEST_SIDE / longest)) for side in edges.shape]
    return functional.interpolate(edges[None, None], grid, mode="area")[0, 0]


class PseudoEdgeCache:
    """Edge maps by image content and teacher, one small PNG each.

    A map is on the teacher's token grid, so that labels can be made of it as the paper does
    (Alg. 2), or at the resolution of a student's decoder. Of teachers that have neither it is
    reduced to :data:`LONGEST_SIDE` cells. Up to 96 x 96 cells are stored in 16 bits, more in 8.

    An entry's name is made from the content of the image, the size at which it is shown, and
    everything that decides the teacher's answer: its options and the content of its weights. So an
    entry can be missing, but never be the wrong one. The entries of a teacher share a folder, with
    the teacher's settings in ``teacher.json``.

    Args:
        folder: of the cache; several teachers and datasets may share it.
        teacher: config of the model that makes the edges, such as
            ``dict(type="TraceTeacher", backbone=dict(pretrained="trace-tiny"))``.

    Raises:
        ValueError: if the teacher is not a known model, or an option of it is wrong.
        FileNotFoundError: if its weights do not exist.
    """

    def __init__(self, folder: str | os.PathLike[str], teacher: dict[str, Any]) -> None:
        if not teacher.get("type"):
            raise ValueError(f"a teacher is the config of a model of trace_mm, got {teacher}")
        self.teacher = with_trained_dtype(teacher)  # the same on all machines
        self.settings = {"format": FORMAT, **describe_model(self.teacher)}
        text = json.dumps(self.settings, sort_keys=True)
        self.root = Path(folder).expanduser()
        self.folder = self.root / hashlib.sha256(text.encode()).hexdigest()[:16]
        self._claims: BinaryIO | None = None

    def key(self, digest: str, size: tuple[int, int] | None) -> str:
        """Name of an entry.

        Args:
            digest: of the image's content.
            size: (H, W) at which it is shown; None for its own.
        """
        shown = "own" if size is None else f"{size[0]}x{size[1]}"
        return hashlib.sha256(f"{digest} {shown}".encode()).hexdigest()

    def path(self, key: str) -> Path:
        """File of an entry; a thousand and more files a folder would be slow to list."""
        return self.folder / key[:3] / f"{key}.png"

    def has(self, key: str) -> bool:
        """Whether there is an entry."""
        return self.path(key).is_file()

    def store(self, key: str, edges: Tensor) -> None:
        """Write an entry, whole or not at all.

        Args:
            key: see :meth:`key`.
            edges: float (h, w) in [0, 1], such as :func:`entry_of` a prediction.

        Raises:
            ValueError: if a value is outside [0, 1].
        """
        values = edges.detach().cpu().float().numpy()
        if values.ndim != 2 or not (values.min() >= 0 and values.max() <= 1):  # also true for nan
            raise ValueError(f"edges must be (H, W) in [0, 1], got shape {values.shape}")
        kind = np.dtype(np.uint16 if values.size <= _FINE_CELLS else np.uint8)
        done, data = cv2.imencode(".png", np.rint(values * _WHITE[kind]).astype(kind))
        if not done:
            raise ValueError(f"cannot encode edges of shape {values.shape} as PNG")
        write_atomically(self.path(key), data.tobytes())

    def load(self, key: str, name: str) -> Tensor:
        """The edges of an entry.

        Args:
            key: see :meth:`key`.
            name: of the image, for messages.

        Returns:
            float32 (h, w) in [0, 1].

        Raises:
            FileNotFoundError: if there is no such entry; says how to make it.
            ValueError: if the file is damaged.
        """
        path = self.path(key)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{name}: its pseudo edges are not in {self.folder}. Fill the cache with "
                f"'python tools/cache_pseudo_edges.py CONFIG', with the config and the "
                f"--cfg-options of the training"
            ) from None
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
        if pixels is None or pixels.dtype not in _WHITE or pixels.ndim != 2:
            raise ValueError(f"{path}: damaged pseudo edges of {name}; delete it and fill anew")
        return torch.from_numpy(pixels.astype(np.float32) / _WHITE[pixels.dtype])

    def write_settings(self) -> None:
        """Put down what the entries of this teacher were made with, for people to read."""
        remove_abandoned(self.folder, subfolders=True)  # others may be filling it too
        text = json.dumps(self.settings, indent=1, sort_keys=True)
        write_atomically(self.folder / SETTINGS_FILE, text.encode())

    @contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Try to be the only process that computes an entry; see :func:`trace_mm.files.try_claim`.

        The claim of a process that dies is given back by the system.

        Yields:
            Whether the entry is claimed.
        """
        if self._claims is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._claims = (self.folder / _CLAIMS_FILE).open("a+b")
        # Two entries rarely share a number; then one waits for the other.
        with try_claim(self._claims, int(key[:7], 16)) as claimed:
            yield claimed
