"""The two COCO files of a panoptic dataset, written from the records of its images."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from trace_mm import __version__
from trace_mm.files.coco_writer import write_coco
from trace_mm.jobs.panoptic_inputs import PanopticInputs
from trace_mm.jobs.panoptic_tally import NOT_LABELLED, Tally, annotations_of
from trace_mm.panoptic import SemanticMaps
from trace_mm.runs.journal import Journal
from trace_mm.runs.records import Record


def write_panoptic_files(
    out: Path,
    journal: Journal,
    tally: Tally,
    inputs: PanopticInputs[SemanticMaps],
    settings: dict[str, Any],
) -> None:
    """Write ``panoptic.json`` and ``instances.json`` of the labelled images, by rising image id.

    One record is held at a time; each file takes one pass over them.

    Args:
        out: the output folder.
        journal: holds the records.
        tally: of these.
        inputs: the images, with their ids.
        settings: told in the files' ``info``.
    """
    told = {name: value for name, value in settings.items() if name != "results"}
    info = {
        "description": "pseudo-panoptic labels by instance edges (trace_mm)",
        "version": __version__,
        **told,
    }
    categories = inputs.semantic.reader.classes.categories()
    things = [{"id": one["id"], "name": one["name"]} for one in categories if one["isthing"]]
    dataset = _Dataset(journal, tally, inputs)
    write_coco(out / "instances.json", info, dataset.images(), dataset.instances(), things)
    write_coco(out / "panoptic.json", info, dataset.images(), dataset.panoptic(), categories)


class _Dataset:
    """The entries of the files."""

    def __init__(
        self, journal: Journal, tally: Tally, inputs: PanopticInputs[SemanticMaps]
    ) -> None:
        self._journal, self._tally, self._inputs = journal, tally, inputs

    def images(self) -> Iterator[dict[str, Any]]:
        for number in self._numbers():
            yield {
                "id": self._inputs.ids[number],
                "file_name": self._inputs.names[number],
                "height": self._tally.heights[number],
                "width": self._tally.widths[number],
            }

    def instances(self) -> Iterator[dict[str, Any]]:
        count = 0
        for image_id, record in self._records():
            for entry in annotations_of(record):
                if "segmentation" in entry:
                    count += 1
                    rest = {key: value for key, value in entry.items() if key != "id"}
                    yield {"id": count, "image_id": image_id, **rest}

    def panoptic(self) -> Iterator[dict[str, Any]]:
        for image_id, record in self._records():
            yield {
                "image_id": image_id,
                "file_name": str(PurePosixPath(record.key).with_suffix(".png")),
                "segments_info": [
                    {key: value for key, value in entry.items() if key != "segmentation"}
                    for entry in annotations_of(record)
                ],
            }

    def _records(self) -> Iterator[tuple[int, Record]]:
        for number in self._numbers():
            record = self._journal.record(number)
            assert record is not None
            yield self._inputs.ids[number], record

    def _numbers(self) -> Iterator[int]:
        """Of the labelled images, by rising id."""
        heights = self._tally.heights
        return (n for n in self._inputs.by_rising_id() if heights[n] != NOT_LABELLED)
