"""What the samples of shards hold for a job: the image, and what lies beside it or elsewhere."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.files.addresses import join_address
from trace_mm.files.edge_maps import read_edges_of
from trace_mm.files.members import Member
from trace_mm.files.parallel_shards import read_side_by_side
from trace_mm.files.shard_names import ShardNames
from trace_mm.files.shards import Sample
from trace_mm.jobs.edge_sources import NamedImage
from trace_mm.jobs.shard_samples import image_of

STORED_EDGES = ("edges.png", "npz")
"""Members that hold edges, the first that is there: what ``trace-mm edges`` writes."""


@dataclass(frozen=True)
class Companion:
    """Members that belong to images: of the same samples, or of shards of the same names.

    Attributes:
        extensions: of the members, the first that is there.
        shards: where they are, by samples of the same keys; None for the images' own samples.
    """

    extensions: tuple[str, ...]
    shards: ShardNames | None = None

    def of(self, own: Sample, beside: Sample | None) -> Member | None:
        """That of an image, if there is one."""
        sample = own if self.shards is None else beside
        for extension in self.extensions:
            if sample is not None and extension in sample.files:
                return Member(f"{sample.key}.{extension}", sample.files[extension])
        return None


@dataclass(frozen=True)
class ShardInputs:
    """Images in shards with their companions.

    Attributes:
        shards: of the images.
        image: extension of the image in each sample; None for the only one.
        companions: what belongs to them.

    Raises:
        ValueError: if companions' shards are not called like those of the images.
    """

    shards: ShardNames
    image: str | None
    companions: tuple[Companion, ...]

    def __post_init__(self) -> None:
        for other in filter(None, (one.shards for one in self.companions)):
            last = len(self.shards) - 1
            if len(other) != len(self.shards) or any(
                other.name(number) != self.shards.name(number) for number in (0, last)
            ):
                raise ValueError(
                    f"{other[0]} to {other[-1]} ({len(other)} shards) are not called like "
                    f"{self.shards[0]} to {self.shards[last]} ({len(self.shards)})"
                )

    def read(self, address: str) -> Iterator[tuple[str, "Member | str", list[Member | None]]]:
        """The images of a shard; see :func:`read_side_by_side`.

        Yields:
            A key, its image or why there is none, and its companions.
        """
        name = self.shards.name_of(address)
        elsewhere = [one.shards for one in self.companions if one.shards is not None]
        others = [_like(shards, join_address(shards.root, name)) for shards in elsewhere]
        for sample, found in read_side_by_side(address, others):
            beside = iter(found)
            yield (
                sample.key,
                _image(sample, self.image),
                [
                    one.of(sample, None if one.shards is None else next(beside))
                    for one in self.companions
                ],
            )


def companion(
    extensions: Sequence[str], shards: ShardNames | None, images: ShardNames
) -> Companion:
    """A companion of images in ``images``; in the same samples if it is the same shards."""
    same = shards is None or shards.patterns == images.patterns
    return Companion(tuple(extensions), None if same else shards)


class ShardEdges:
    """Edges that come along with images, of shards such as ``trace-mm edges`` writes.

    Args:
        shards: of the edges.
    """

    def __init__(self, shards: ShardNames) -> None:
        self._root = shards.root

    def __call__(self, images: Sequence[NamedImage]) -> list[NDArray[np.float32]]:
        """Edges of each image; see ``EdgeSource``."""
        return [self._read(image) for image in images]

    def expect(self, names: Sequence[str], others: Iterable[str] = ()) -> None:
        """Nothing: shards are read as they come."""

    def on(self, device: object) -> "ShardEdges":
        """Itself: nothing is computed."""
        return self

    def folders(self) -> list[Path]:
        """None: see ``EdgeSource``."""
        return []

    def settings(self) -> dict[str, Any]:
        """The folder of the shards."""
        return {"shards": self._root}

    def state(self, name: str) -> str:
        """Nothing: see ``EdgeSource``."""
        return ""

    def _read(self, image: NamedImage) -> NDArray[np.float32]:
        if image.stored is None:
            raise ValueError(f"{image.name}: there are no edges of it")
        size = image.pixels.shape[0], image.pixels.shape[1]
        return read_edges_of(image.stored, size, image.orientation)


def _image(sample: Sample, extension: str | None) -> Member | str:
    try:
        return Member(*image_of(sample, extension))
    except ValueError as error:
        return str(error)


def _like(shards: ShardNames, address: str) -> str:
    """With the extension that these shards have."""
    pattern = shards.patterns[0].lower()
    ending = next(end for end in (".tar.gz", ".tgz", ".tar") if pattern.endswith(end))
    return address.removesuffix(".tar") + ending
