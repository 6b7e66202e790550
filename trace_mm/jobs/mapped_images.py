"""What jobs have in common that make files of images, of a map of each, and of edges."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from trace_mm.files.file_state import file_state
from trace_mm.files.members import AnyFile
from trace_mm.jobs.edge_sources import EdgeSource
from trace_mm.jobs.panoptic_inputs import PanopticInputs
from trace_mm.refinement.image_maps import ImageMaps
from trace_mm.runs.job import Item
from trace_mm.runs.packed import Keys
from trace_mm.runs.records import Record
from trace_mm.runs.sinks import FolderSink

_Maps = TypeVar("_Maps", bound=ImageMaps)


class MappedImagesJob(Generic[_Maps]):
    """Images, the map that somebody has made of each, and edges.

    Args:
        inputs: the images and their maps.
        out: folder to write.
        edges: where edges come from; None for none.
    """

    keeps_others = False

    def __init__(self, inputs: PanopticInputs[_Maps], out: Path, edges: EdgeSource | None) -> None:
        self.inputs, self.out, self.edges = inputs, out, edges

    @property
    def keys(self) -> Keys:
        """The images' names; see ``Job``."""
        return self.inputs.names

    def item(self, number: int, known: Record | None) -> Item | None:
        """An image, unless its results are there, and are of its files; see ``Job``."""
        name, path, mapped = self.keys[number], self.inputs.image(number), self.inputs.map(number)
        state = {**file_state(path), "semantic": self.inputs.map_state(number)}
        if mapped is not None and self.edges is not None:
            state["edges"] = self.edges.state(name)
        if known is not None and known.error is None and known.state == state:
            wanted = () if mapped is None else self.results(name)
            if {*wanted} == {*known.outputs} and all(
                file_state(self.out / file)["size"] == size for file, size in known.outputs.items()
            ):
                return None
        return Item(name, state, self.task(name, path, mapped))

    def sink(self) -> FolderSink:
        """The output folder; see ``Job``."""
        return FolderSink(self.out)

    def results(self, name: str) -> Sequence[str]:
        """Paths of the files of an image that has a map, within the output folder."""
        raise NotImplementedError

    def task(self, name: str, path: AnyFile, mapped: AnyFile | None) -> Any:
        """What a worker needs of an image."""
        raise NotImplementedError
