"""What a run of pseudo-panoptic labels has done so far, and the files that it becomes.

``manifest.jsonl`` holds a record for each image. While a run goes on, each rank appends to a file
of its own; rank 0 brings all together before the ranks start and after they have finished. So a run
may be killed at any moment and go on with another number of ranks.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from trace_mm.apis.instance_records import (
    FileState,
    Record,
    coco_content,
    json_bytes,
    read_record_file,
    read_records,
)
from trace_mm.apis.json_lines import json_line
from trace_mm.files import remove_temporary_files, write_atomically
from trace_mm.jobs.places import MANIFEST_FILE as MANIFEST
from trace_mm.jobs.places import PANOPTIC_FOLDERS
from trace_mm.panoptic import PanopticClasses

PANOPTIC, SEMANTIC, PICTURES = RESULT_FOLDERS = PANOPTIC_FOLDERS
_RANKS = "manifest.rank-*.jsonl"


@dataclass(frozen=True)
class PanopticRecord(Record):
    """What became of one image; see ``Record``.

    Here ``annotations`` are those of its segments by rising id; things have a ``segmentation``.

    Attributes:
        semantic: the state of its semantic map; empty if it has none.
        outputs: size in bytes of each file, by its path within the output folder.
    """

    semantic: str = ""
    outputs: dict[str, int] = field(default_factory=dict)

    @property
    def labelled(self) -> bool:
        """Whether there are labels of the image: it has a map and has not failed."""
        return self.error is None and self.semantic != ""

    @property
    def void(self) -> int:
        """How many of its pixels belong to no segment."""
        return self.height * self.width - sum(entry["area"] for entry in self.annotations)


Records = dict[str, PanopticRecord]


def class_counts(records: Iterable[PanopticRecord], classes: PanopticClasses) -> dict[str, int]:
    """How many segments of each class there are, by name, most first; none of what is absent."""
    numbers = Counter(entry["category_id"] for record in records for entry in record.annotations)
    names = dict(zip(classes.category_ids, classes.names, strict=True))
    return {names[number]: count for number, count in numbers.most_common()}


def output_path(folder: str, name: str) -> str:
    """Path of an image's file in one of the result folders, relative to the output folder."""
    return f"{folder}/{PurePosixPath(name).with_suffix('.png')}"


def rank_file(out: Path, rank: int) -> Path:
    """Where a rank appends its records."""
    return out / f"manifest.rank-{rank:04d}.jsonl"


def open_manifest(
    out: Path,
    settings: dict[str, Any],
    states: dict[str, FileState],
    is_current: Callable[[PanopticRecord], bool],
    overwrite: bool,
) -> None:
    """Bring the manifest of an output folder to what still holds, before any rank starts.

    Files of images that are to be done again, or are no longer there, are removed, and so is what a
    killed run has left half-written.

    Args:
        out: the output folder.
        settings: everything that labels depend on, as JSON values.
        states: of each image file, by name.
        is_current: whether the record of such a file need not be made again.
        overwrite: forget everything.

    Raises:
        ValueError: if the folder holds results of other settings, or files that no manifest
            accounts for.
    """
    paths = _manifests(out)
    if not paths and not overwrite:
        _check_unclaimed(out)
    remove_temporary_files(folders=[out / folder for folder in RESULT_FOLDERS], top=out)
    known: Records = {}
    if not overwrite:
        found = read_records(paths, settings, states, PanopticRecord)
        known = {name: record for name, record in found.items() if is_current(record)}
    _remove_outputs(out, paths, {path for record in known.values() for path in record.outputs})
    _write_manifest(out, settings, known)


def read_manifest(out: Path, settings: dict[str, Any], states: dict[str, FileState]) -> Records:
    """The records of the images that are done, by name; see ``read_records``."""
    return read_records([out / MANIFEST], settings, states, PanopticRecord)


def close_manifest(out: Path, settings: dict[str, Any], states: dict[str, FileState]) -> Records:
    """Bring the records of all ranks together, after they have finished.

    Raises:
        ValueError: if an image has changed meanwhile; names it.
    """
    known = read_records(_manifests(out), settings, states, PanopticRecord)
    changed = [name for name in states if name not in known]
    if changed:
        raise ValueError(f"{changed[0]}: changed during the run; run again")
    _write_manifest(out, settings, known)
    return known


def write_coco_files(
    out: Path,
    records: Mapping[str, PanopticRecord],
    ids: dict[str, int],
    classes: PanopticClasses,
    settings: dict[str, Any],
) -> None:
    """Write ``panoptic.json`` and ``instances.json`` of the labelled images.

    Args:
        out: the output folder.
        records: by name.
        ids: image id of each labelled image, by name.
        classes: whose categories these are.
        settings: told in the files' ``info``.
    """
    labelled = {name: record for name, record in records.items() if record.labelled}
    things = {
        category["id"]: category["name"] for category in classes.categories() if category["isthing"]
    }
    info = {"description": "pseudo-panoptic labels by instance edges (trace_mm)", **settings}
    instances = {name: _instances_only(record) for name, record in labelled.items()}
    content = coco_content(instances, ids, info, things)
    write_atomically(out / "instances.json", json_bytes(content))
    content["annotations"] = [
        _panoptic_annotation(labelled[image["file_name"]], image["id"])
        for image in content["images"]
    ]
    content["categories"] = classes.categories()
    write_atomically(out / "panoptic.json", json_bytes(content))


def _instances_only(record: PanopticRecord) -> Record:
    things = [
        {key: value for key, value in entry.items() if key != "id"}
        for entry in record.annotations
        if "segmentation" in entry
    ]
    return replace(record, annotations=things)


def _panoptic_annotation(record: PanopticRecord, image_id: int) -> dict[str, Any]:
    return {
        "image_id": image_id,
        "file_name": str(PurePosixPath(record.name).with_suffix(".png")),
        "segments_info": [
            {key: value for key, value in entry.items() if key != "segmentation"}
            for entry in record.annotations
        ],
    }


def _manifests(out: Path) -> list[Path]:
    whole = out / MANIFEST
    return [*([whole] if whole.is_file() else []), *sorted(out.glob(_RANKS))]


def _write_manifest(out: Path, settings: dict[str, Any], records: Records) -> None:
    lines = [json_line({"settings": settings})]
    lines += [json_line(asdict(records[name])) for name in sorted(records)]
    write_atomically(out / MANIFEST, b"".join(lines))
    for path in out.glob(_RANKS):  # all of it is in the manifest now
        path.unlink()


def _remove_outputs(out: Path, manifests: list[Path], kept: set[str]) -> None:
    """Remove the files that manifests list, whatever their settings, except for those kept."""
    for manifest in manifests:
        for record in _records_of(manifest):
            for output in record.get("outputs", {}):
                # Nothing outside the folders, whatever somebody wrote into the manifest.
                parts = PurePosixPath(output).parts
                ours = parts[:1] in {(folder,) for folder in RESULT_FOLDERS} and ".." not in parts
                if ours and output not in kept:
                    (out / output).unlink(missing_ok=True)


def _records_of(manifest: Path) -> list[dict[str, Any]]:
    try:
        _, records = read_record_file(manifest)
    except ValueError:  # not ours; --overwrite replaces it
        return []
    return list(records)


def _check_unclaimed(out: Path) -> None:
    """Refuse to write among files that no manifest accounts for."""
    for name in RESULT_FOLDERS:
        folder = out / name
        if folder.is_dir() and any(folder.iterdir()):
            raise ValueError(
                f"{folder} holds files, but {out} has no {MANIFEST} of a run that wrote them: "
                f"choose another folder, or --overwrite"
            )
