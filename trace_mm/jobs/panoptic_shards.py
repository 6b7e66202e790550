"""Pseudo-panoptic labels of images in shards: a shard of labels for each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from trace_mm.files.id_maps import folder_colors
from trace_mm.files.members import Member
from trace_mm.files.shard_names import ShardNames
from trace_mm.jobs.edge_sources import EdgeSource
from trace_mm.jobs.panoptic import (
    RESULTS,
    UNTAGGED,
    PanopticRecipe,
    PanopticTask,
    label_paths,
)
from trace_mm.jobs.shard_inputs import STORED_EDGES, Companion, ShardEdges, ShardInputs, companion
from trace_mm.panoptic import PanopticClasses, PanopticLabeler
from trace_mm.panoptic.semantic_maps import MOST_SEEN, SemanticMapReader
from trace_mm.runs.job import Item
from trace_mm.runs.records import Record
from trace_mm.runs.shard_run import ShardJob

PANOPTIC = "panoptic"
"""What the settings of such shards call their job."""

OWN_MAPS = ("semantic.png", "semantic.npy")
"""Members of an image's sample that hold its semantic map, the first that is there."""

MAPS = (*OWN_MAPS, "png", "npy")
"""Likewise, in shards of their own."""

_EXTENSIONS = ("panoptic.png", "semantic.png")


@dataclass(frozen=True)
class PanopticShardItems:
    """The images of shards with their semantic maps and edges; see ``ShardItems``.

    Attributes:
        inputs: images, with maps and edges as companions.
    """

    inputs: ShardInputs

    def items(self, address: str) -> Iterator[Item | Record]:
        """An image a sample; see ``ShardItems``."""
        for key, image, (semantic, edges) in self.inputs.read(address):
            if isinstance(image, str):
                yield Record(key, error=image)
            elif semantic is None:
                yield Record(key, {"file_name": image.path}, notes=[UNTAGGED])
            else:
                task = PanopticTask(image, semantic, edges=edges)
                yield Item(key, {"file_name": image.path}, task, image.path)

    def extensions(self, key: str) -> Mapping[str, str]:
        """``panoptic.png`` and ``semantic.png``; see ``ShardItems``."""
        return dict(zip(label_paths(key, False), _EXTENSIONS, strict=True))


def first_maps(shards: ShardNames, semantic: ShardNames, image: str | None) -> list[Member]:
    """The maps of the first shard, of which a few hundred are enough.

    Args:
        shards: of images.
        semantic: of their maps; may be the same shards.
        image: extension of the image in each sample; None for the only one.

    Raises:
        ValueError: if there is none; or the shard cannot be read; names it.
        OSError: likewise.
    """
    inputs = ShardInputs(shards, image, (_maps(shards, semantic),))
    found = (semantic for _, _, (semantic,) in inputs.read(shards[0]) if semantic is not None)
    maps = list(islice(found, MOST_SEEN))
    if not maps:
        raise ValueError(f"{shards[0]}: there is no semantic map of any of its images")
    return maps


def panoptic_shard_job(
    shards: ShardNames,
    semantic: ShardNames,
    classes: PanopticClasses,
    out: str,
    edges: EdgeSource | ShardNames | None,
    labeler: PanopticLabeler,
    image: str | None = None,
) -> ShardJob:
    """Panoptic labels of the images in shards.

    Args:
        shards: of images.
        semantic: of their maps, ``KEY.semantic.png`` or ``KEY.png`` each; may be the same shards.
        classes: what the ids in the maps mean.
        out: folder to write, local or of a store.
        edges: where edges come from, or shards of them; None tells things apart without.
        labeler: makes segments of classes and edges.
        image: extension of the image in each sample; None for the only one.

    Raises:
        ValueError: if shards are not called alike, or the first holds no map.
        OSError: if the first shard cannot be read.
    """
    stored = edges if isinstance(edges, ShardNames) else None
    source = ShardEdges(edges) if isinstance(edges, ShardNames) else edges
    maps = _maps(shards, semantic)
    inputs = ShardInputs(shards, image, (maps, companion(STORED_EDGES, stored, shards)))
    colors = folder_colors(
        [one for one in first_maps(shards, semantic, image) if one.suffix == ".png"]
    )
    return ShardJob(
        shards,
        out,
        {
            "job": PANOPTIC,
            "results": RESULTS,
            "image": image,
            "semantic": semantic.root,
            "colors": colors,
            "classes": classes.describe(),
            "categories": classes.categories(),
            "edges": None if source is None else source.settings(),
            "labeler": {"type": type(labeler).__name__, **labeler.settings()},
        },
        PanopticRecipe(source, labeler, SemanticMapReader(classes, colors)),
        PanopticShardItems(inputs),
    )


def _maps(shards: ShardNames, semantic: ShardNames) -> Companion:
    same = shards.patterns == semantic.patterns
    return companion(OWN_MAPS if same else MAPS, semantic, shards)
