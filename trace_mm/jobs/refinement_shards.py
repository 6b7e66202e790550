"""Masks of images in shards, refined: a shard of records for each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from trace_mm.files.members import Member
from trace_mm.files.shard_names import ShardNames
from trace_mm.jobs.edge_sources import EdgeSource
from trace_mm.jobs.refinement import RESULTS, RefinementRecipe, RefinementTask
from trace_mm.jobs.shard_inputs import STORED_EDGES, ShardEdges, ShardInputs, companion
from trace_mm.refinement import BoundaryGuidedPropagation
from trace_mm.refinement.readers.sample import SampleReader
from trace_mm.runs.job import Item
from trace_mm.runs.records import Record
from trace_mm.runs.shard_run import ShardJob

REFINEMENT = "refinement"
"""What the settings of such shards call their job."""

MASKS = ("masks.json", "json")
"""Members that hold masks, the first that is there."""


@dataclass(frozen=True)
class RefinementShardItems:
    """The images of shards with their masks and edges; see ``ShardItems``.

    Attributes:
        inputs: images, with masks and edges as companions.
        reader: of the masks.
    """

    inputs: ShardInputs
    reader: SampleReader

    def items(self, address: str) -> Iterator[Item | Record]:
        """An image a sample; see ``ShardItems``."""
        for key, image, (masks, edges) in self.inputs.read(address):
            if isinstance(image, str):
                yield Record(key, error=image)
            elif masks is None:
                yield Record(key, {"file_name": image.path}, notes=["there are no masks of it"])
            else:
                yield self._item(key, image, masks, edges)

    def _item(self, key: str, image: Member, masks: Member, edges: Member | None) -> Item:
        task = RefinementTask(image, self.reader.record(masks), edges=edges)
        return Item(key, {"file_name": image.path}, task, image.path)

    def extensions(self, key: str) -> Mapping[str, str]:
        """None but the record; see ``ShardItems``."""
        return {}


def refinement_shard_job(
    shards: ShardNames,
    masks: ShardNames,
    out: str,
    edges: EdgeSource | ShardNames,
    refiner: BoundaryGuidedPropagation,
    *,
    crowds: str = "auto",
    skip_bad: bool = False,
    image: str | None = None,
) -> ShardJob:
    """Refined masks of the images in shards, in the records of shards of results.

    Args:
        shards: of images.
        masks: of their masks, ``KEY.masks.json`` or ``KEY.json`` each; may be the same shards.
        out: folder to write, local or of a store.
        edges: where edges come from, or shards of them; these may be the same too.
        refiner: what refines.
        crowds: what becomes of crowd regions.
        skip_bad: leave bad masks out, and note them; else the first is an error that ends the run.
        image: extension of the image in each sample; None for the only one.

    Raises:
        ValueError: if shards are not called alike, or there is no such choice of crowds.
    """
    stored = edges if isinstance(edges, ShardNames) else None
    source = ShardEdges(edges) if isinstance(edges, ShardNames) else edges
    reader = SampleReader(crowds)
    inputs = ShardInputs(
        shards,
        image,
        (
            companion(MASKS, masks, shards),
            companion(STORED_EDGES, stored, shards),
        ),
    )
    return ShardJob(
        shards,
        out,
        {
            "job": REFINEMENT,
            "results": RESULTS,
            "image": image,
            "masks": masks.root,
            "crowds": crowds,
            "edges": source.settings(),
            "refiner": {"type": type(refiner).__name__, **refiner.settings()},
        },
        RefinementRecipe(reader, source, refiner, skip_bad),
        RefinementShardItems(inputs, reader),
    )
