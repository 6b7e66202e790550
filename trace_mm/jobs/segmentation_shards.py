"""Masks of photos in shards: a shard of records and overlays for each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from trace_mm.files.shard_names import ShardNames
from trace_mm.jobs.photo_masks import PhotoSegmenter
from trace_mm.jobs.segmentation import (
    RESULTS,
    SegmentationRecipe,
    SegmentationTask,
    overlay_path,
)
from trace_mm.jobs.shard_inputs import STORED_EDGES, ShardInputs, companion
from trace_mm.runs.job import Item
from trace_mm.runs.records import Record
from trace_mm.runs.shard_run import ShardJob

SEGMENTATION = "segmentation"
"""What the settings of such shards call their job."""

_EXTENSION = "overlay.jpg"


@dataclass(frozen=True)
class SegmentationShardItems:
    """The photos of shards with their edges, where these come along; see ``ShardItems``.

    Attributes:
        inputs: photos, with edges as companions.
    """

    inputs: ShardInputs

    def items(self, address: str) -> Iterator[Item | Record]:
        """A photo a sample; see ``ShardItems``."""
        for key, image, (edges,) in self.inputs.read(address):
            if isinstance(image, str):
                yield Record(key, error=image)
            else:
                task = SegmentationTask(image, image.path, edges, gallery=False)
                yield Item(key, {"file_name": image.path}, task, image.path)

    def extensions(self, key: str) -> Mapping[str, str]:
        """``overlay.jpg``; see ``ShardItems``."""
        return {overlay_path(key): _EXTENSION}


def segmentation_shard_job(
    shards: ShardNames,
    out: str,
    segmenter: PhotoSegmenter,
    edges: ShardNames | None = None,
    image: str | None = None,
) -> ShardJob:
    """Masks of the photos in shards, in the records of shards of results.

    Args:
        shards: of photos.
        out: folder to write, local or of a store.
        segmenter: finds masks.
        edges: shards that its edges come from, if any; may be the same.
        image: extension of the photo in each sample; None for the only one.

    Raises:
        ValueError: if shards are not called alike.
    """
    inputs = ShardInputs(shards, image, (companion(STORED_EDGES, edges, shards),))
    return ShardJob(
        shards,
        out,
        {"job": SEGMENTATION, "results": RESULTS, "image": image, **segmenter.settings()},
        SegmentationRecipe(segmenter),
        SegmentationShardItems(inputs),
    )
