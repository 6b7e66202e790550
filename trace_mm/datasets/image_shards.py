"""Images in WebDataset shards, read at random by an index."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from trace_mm.datasets.image_references import EncodedImage, ImageCollection
from trace_mm.files import IMAGE_SUFFIXES, absolute_path
from trace_mm.files.addresses import is_address, join_address
from trace_mm.files.shard_index import Member, read_member, shard_members
from trace_mm.files.shard_names import ShardNames
from trace_mm.files.stores import FileState, state_of
from trace_mm.registry import DATASETS
from trace_mm.runs.packed import PackedStrings

_AT_ONCE = 8  # indexes that are read


@dataclass(frozen=True)
class ShardImage:
    """An image in a shard; see ``ImageReference``.

    Attributes:
        shard: address.
        version: of the shard: size, and what else tells that it has changed.
        member: the image in it.
        image_id: unique within the source.
    """

    shard: str
    version: FileState
    member: Member
    image_id: str

    @property
    def address(self) -> str:
        """The shard's address and the name in it."""
        return f"{self.shard}/{self.member.name}"

    def state(self) -> list[Any]:
        """Size and version of the shard, place in it."""
        return [self.version.size, self.version.version, self.member.offset, self.member.size]

    def open(self) -> EncodedImage:
        """Read the image alone; see ``ImageReference``."""
        return EncodedImage(read_member(self.shard, self.member), self.image_id, self.address)


@DATASETS.register_module()
class ImageShards(ImageCollection):
    """The images in WebDataset shards (``.tar``), local or of any store that fsspec knows.

    Images are members with an image's suffix and no other before it: ``a/b.jpg``, not
    ``a/b.edges.png``. Each is read alone, by the index beside its shard, which
    ``tools/index_shards.py`` makes; a local shard without one is looked through. In memory there
    are 20 bytes an image besides its name.

    Args:
        shards: path or address with braces, such as ``"s3://bucket/{000000..000999}.tar"``, or a
            list of them.
        data_root: folder that paths are relative to.
        index: folder or address of the indexes, if they do not lie beside the shards.

    Raises:
        FileNotFoundError: if there is no such shard, no index of one in a store, or no image.
        ValueError: if a shard or an index is damaged; names it.
    """

    def __init__(
        self, shards: str | Sequence[str], data_root: str = "", index: str | None = None
    ) -> None:
        patterns = [shards] if isinstance(shards, str) else list(shards)
        named = ShardNames([_placed(pattern, data_root) for pattern in patterns])
        self.shards = list(named)
        self._shard_names = [
            named.name(number).removesuffix(".tar") for number in range(len(named))
        ]
        self._names, self._ends = PackedStrings(), list[int]()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            self._versions = list(pool.map(_existing, self.shards))
            parts = []
            for members in pool.map(partial(_images, folder=index), self.shards):
                for member in members:
                    self._names.append(member.name)
                parts.append(np.array([member[1:] for member in members], np.int64).reshape(-1, 2))
                self._ends.append(len(self._names))
        if not self._names:
            raise FileNotFoundError(f"{', '.join(named.patterns)}: no images")
        self._places = np.concatenate(parts)  # offset, size

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        """Path of image ``index`` in its shard, below that of the shard: ``000001/a/b.jpg``."""
        return f"{self._shard_names[self._shard(index)]}/{self._names[index]}"

    def at(self, index: int) -> ShardImage:
        """Image ``index``; see :class:`ImageCollection`."""
        shard = self._shard(index)
        offset, size = map(int, self._places[index])
        member = Member(self._names[index], offset, size)
        return ShardImage(self.shards[shard], self._versions[shard], member, self.name(index))

    def _shard(self, index: int) -> int:
        return int(np.searchsorted(self._ends, index, side="right"))


def _placed(pattern: str, data_root: str) -> str:
    """A pattern in a folder, unless it has a place of its own."""
    if is_address(pattern):
        return pattern
    if is_address(data_root):
        return join_address(data_root, pattern)
    return absolute_path(Path(data_root, pattern).expanduser()).as_posix()


def _existing(shard: str) -> FileState:
    state = state_of(shard)
    if state is None:
        raise FileNotFoundError(f"{shard}: no such file")
    return state


def _images(shard: str, folder: str | None) -> list[Member]:
    return [member for member in shard_members(shard, folder) if _is_image(member.name)]


def _is_image(name: str) -> bool:
    last = name.rpartition("/")[2]
    stem, _, extension = last.partition(".")
    return bool(stem) and f".{extension.lower()}" in IMAGE_SUFFIXES
