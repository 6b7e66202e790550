"""The teacher's edges of training images, computed once and kept as files."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from trace_mm.datasets.packed_entries import ENTRIES_A_SHARD, PackedEntries
from trace_mm.diffusion.prompts import Prompts
from trace_mm.files import remove_temporary_files, write_atomically
from trace_mm.files.addresses import join_address, local_path
from trace_mm.lazy import lazy_module
from trace_mm.models.identity import describe_model
from trace_mm.models.model_config import with_trained_dtype

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import functional

    from trace_mm.structures import EdgeDataSample
else:
    torch = lazy_module("torch")
    functional = lazy_module("torch.nn.functional")

SETTINGS_FILE = "teacher.json"
_SHARDS_FOLDER = "shards"
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


def encode_entry(edges: Tensor) -> bytes:
    """An entry as PNG: 16 bits a cell, or 8 if there are many.

    Args:
        edges: float (h, w) in [0, 1].

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
    return data.tobytes()


def decode_entry(data: bytes) -> Tensor | None:
    """The edges of an entry, float32 (h, w) in [0, 1]; None if it is damaged."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if pixels is None or pixels.dtype not in _WHITE or pixels.ndim != 2:
        return None
    return torch.from_numpy(pixels.astype(np.float32) / _WHITE[pixels.dtype])


class PseudoEdgeCache:
    """Edge maps by image content and teacher, one small PNG each, in files or packed in shards.

    A map is on the teacher's token grid, so that labels can be made of it as the paper does
    (Alg. 2), or at the resolution of a student's decoder. Of teachers that have neither it is
    reduced to :data:`LONGEST_SIDE` cells. Up to 96 x 96 cells are stored in 16 bits, more in 8.

    An entry's name is made from the content of the image, the size at which it is shown, and
    everything that decides the teacher's answer: its options and the content of its weights. So an
    entry can be missing, but never be the wrong one. The entries of a teacher share a folder, with
    the teacher's settings in ``teacher.json``; those that are packed (:meth:`pack`) lie in
    ``shards/`` there.

    Args:
        folder: of the cache; several teachers and datasets may share it. Of an address of a store,
            such as ``s3://bucket/pseudo_edges``, what is packed is read.
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
        prompts = dict(self.teacher.get("backbone") or {}).get("prompts")
        self._prompts = None if prompts is None else Prompts(prompts)
        text = json.dumps(self.settings, sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        local = local_path(os.fspath(folder))
        self.address = join_address(
            os.fspath(folder) if local is None else str(local.expanduser()), name
        )
        self.packed = PackedEntries(join_address(self.address, _SHARDS_FOLDER))

    @property
    def folder(self) -> Path:
        """The local folder of the teacher's entries.

        Raises:
            ValueError: if they are in a store.
        """
        local = local_path(self.address)
        if local is None:
            raise ValueError(
                f"{self.address}: a cache in a store is read only; fill and pack one in a folder, "
                f"and copy it there"
            )
        return local

    def key(self, digest: str, size: tuple[int, int] | None, name: str | None = None) -> str:
        """Name of an entry.

        Args:
            digest: of the image's content.
            size: (H, W) at which it is shown; None for its own.
            name: of the image, which counts only where the teacher has prompts: then the image's
                prompt is part of what decides the entry.

        Raises:
            ValueError: if the image has none of the teacher's prompts; names it.
        """
        shown = "own" if size is None else f"{size[0]}x{size[1]}"
        prompt = "" if self._prompts is None else f" {self._prompts.of(name)}"
        return hashlib.sha256(f"{digest} {shown}{prompt}".encode()).hexdigest()

    def name(self, key: str) -> str:
        """Of an entry's file; a thousand and more files a folder would be slow to list."""
        return f"{key[:3]}/{key}.png"

    def path(self, key: str) -> Path:
        """File of an entry, while it is not packed."""
        return self.folder / self.name(key)

    def has(self, key: str) -> bool:
        """Whether there is an entry."""
        return key in self.packed or self.path(key).is_file()

    def store(self, key: str, edges: Tensor) -> None:
        """Write an entry, whole or not at all.

        Args:
            key: see :meth:`key`.
            edges: float (h, w) in [0, 1], such as :func:`entry_of` a prediction.

        Raises:
            ValueError: if a value is outside [0, 1].
        """
        write_atomically(self.path(key), encode_entry(edges))

    def load(self, key: str, name: str) -> Tensor:
        """The edges of an entry.

        Args:
            key: see :meth:`key`.
            name: of the image, for messages.

        Returns:
            float32 (h, w) in [0, 1].

        Raises:
            FileNotFoundError: if there is no such entry; says how to make it.
            ValueError: if the file, or the shard, is damaged.
        """
        data = self._read(key)
        if data is None:
            raise FileNotFoundError(
                f"{name}: its pseudo edges are not in {self.address}. Fill the cache with "
                f"'python tools/cache_pseudo_edges.py CONFIG', with the config and the "
                f"--cfg-options of the training"
            )
        edges = decode_entry(data)
        if edges is None:
            where = self.packed.shard(key) or self.path(key)
            raise ValueError(f"{where}: damaged pseudo edges of {name}; delete it and fill anew")
        return edges

    def write_settings(self) -> None:
        """Put down what the entries of this teacher were made with, for people to read."""
        text = json.dumps(self.settings, indent=1, sort_keys=True)
        write_atomically(self.folder / SETTINGS_FILE, text.encode())

    def pack(self, size: int = ENTRIES_A_SHARD) -> int:
        """Move entries from files into shards. Only for who holds the lock of the folder.

        A shard is there whole before its files go: a kill at any moment loses nothing, and what a
        training is reading is found.

        Args:
            size: entries a shard.

        Returns:
            How many entries were packed.

        Raises:
            ValueError: if an entry is damaged; names its file.
            OSError: if a shard cannot be written.
        """
        remove_temporary_files(folders=[self.folder])
        return self.packed.take(self.folder, size, self._check)

    def _read(self, key: str) -> bytes | None:
        data = self.packed.read(key)
        if data is None and local_path(self.address) is not None:
            path = self.path(key)
            data = path.read_bytes() if path.is_file() else None
        if data is None and self.packed.refresh():  # packed since it was looked for
            data = self.packed.read(key)
        return data

    @staticmethod
    def _check(path: Path, data: bytes) -> None:
        if decode_entry(data) is None:
            raise ValueError(f"{path}: damaged pseudo edges; delete it and fill anew")
