"""Instance edges of the images in shards, a shard of edges each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trace_mm.files.shard_names import ShardNames
from trace_mm.files.shards import read_shard
from trace_mm.jobs.edge_files import SAVE_KINDS, check_save_kinds, result_paths
from trace_mm.jobs.edges import EdgeRecipe, EdgeTask, Predict
from trace_mm.jobs.shard_samples import image_of
from trace_mm.runs.job import Item
from trace_mm.runs.records import Record
from trace_mm.runs.shard_run import ShardJob

_EXTENSIONS = {"png": "edges.png", "npz": "npz", "overlay": "overlay.png"}


@dataclass(frozen=True)
class EdgeShardItems:
    """The images of shards; see ``ShardItems``.

    Attributes:
        kinds: of results.
        image: extension of the image in each sample; None for the only one.
    """

    kinds: tuple[str, ...]
    image: str | None = None

    def items(self, address: str) -> Iterator[Item | Record]:
        """An image a sample; see ``ShardItems``."""
        for sample in read_shard(address):
            try:
                name, data = image_of(sample, self.image)
            except ValueError as error:
                yield Record(sample.key, error=str(error))
            else:
                state = {"file_name": name}
                yield Item(sample.key, state, EdgeTask(data, self.kinds), name)

    def extensions(self, key: str) -> Mapping[str, str]:
        """``edges.png``, ``npz`` and ``overlay.png``; see ``ShardItems``."""
        return {path: _EXTENSIONS[kind] for kind, path in result_paths(key, SAVE_KINDS).items()}


def edge_shard_job(
    shards: ShardNames,
    out: str,
    predict: Predict,
    settings: dict[str, Any],
    save: Sequence[str] = ("png",),
    image: str | None = None,
) -> ShardJob:
    """Edges of shards of images.

    Args:
        shards: of images.
        out: folder to write, local or of a store.
        predict: see :class:`trace_mm.jobs.edges.EdgeJob`.
        settings: what the predictions depend on, as JSON values.
        save: kinds of results, see :func:`trace_mm.jobs.edge_files.encode_result`.
        image: extension of the image in each sample; None for the only one.

    Raises:
        ValueError: if there is no such kind.
    """
    kinds = check_save_kinds(save)
    extension = None if image is None else image.removeprefix(".").lower()
    return ShardJob(
        shards,
        out,
        {**settings, "save": list(kinds), "image": extension},
        EdgeRecipe(predict),
        EdgeShardItems(kinds, extension),
    )
