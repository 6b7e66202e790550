"""Sharded labels as one COCO file, or one COCO panoptic dataset; few records are in memory."""

import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from mmap import ACCESS_READ, mmap
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from trace_mm import __version__
from trace_mm.files import (
    check_outputs,
    locked,
    remove_temporary_files,
    write_atomically,
    write_coco,
)
from trace_mm.files.addresses import local_path
from trace_mm.files.shard_names import ShardNames
from trace_mm.files.shards import Sample, read_shard
from trace_mm.jobs.panoptic_shards import PANOPTIC
from trace_mm.jobs.places import MANIFEST_FILE
from trace_mm.jobs.refinement import categories_of
from trace_mm.jobs.refinement_shards import REFINEMENT
from trace_mm.jobs.segmentation_files import ABOUT
from trace_mm.jobs.segmentation_shards import SEGMENTATION
from trace_mm.runs.packed import PackedStrings, sorted_keys
from trace_mm.runs.progress import watched
from trace_mm.runs.records import Record, read_record
from trace_mm.runs.shard_run import settings_beside
from trace_mm.runs.shard_worker import RECORD
from trace_mm.runs.summary import RunSummary

_REASONS = 100
_FOLDERS = ("panoptic", "semantic")
_MASKS = {REFINEMENT: "instance masks refined by instance edges", SEGMENTATION: ABOUT}
_ABOUT = "pseudo-panoptic labels by instance edges"
# What is written below, as it is written.
_OURS = re.compile(rf'{{"info": {{"description": "{_ABOUT} \(trace_mm\)"'.encode())
_ENTRY = re.compile(rb'\{"image_id": \d+, "file_name": ("(?:[^"\\]|\\.)*"), "segments_info": ')


@dataclass(frozen=True, repr=False)
class MergeSummary(RunSummary):
    """What was merged.

    Attributes:
        images: how many there are.
        annotations: how many masks or segments these have.
        without: how many other images have no labels, since there were no masks or maps of them.
        images_failed: how many could not be labelled.
        reasons: why the first of them could not.
    """

    images: int = 0
    annotations: int = 0
    without: int = 0
    images_failed: int = 0
    reasons: tuple[str, ...] = ()

    def describe(self, out: object) -> list[str]:
        """Lines for the person who has run it."""
        return [
            f"{self.annotations} annotations of {self.images} images, {self.images_failed} images "
            f"failed, {self.without} without labels: {out}"
        ]

    def failures(self) -> list[str]:
        """Why images failed."""
        return list(self.reasons)


def merge_shards(shards: ShardNames, out: Path, show_progress: bool = True) -> MergeSummary:
    """Make one COCO dataset of shards that refinement, segmentation or panoptic labelling wrote.

    Images count from 1 in the order of the shards and of their samples; those that have failed or
    have no labels are left out, and counted.

    Args:
        shards: of results, each read once.
        out: of masks the COCO file; of panoptic labels the folder of ``panoptic.json``,
            ``instances.json``, ``panoptic/`` and ``semantic/``.
        show_progress: draw a progress bar on stderr.

    Raises:
        FileNotFoundError: if a shard, or what its run left beside it, is missing.
        ValueError: if a shard is damaged or holds no labels, ``out`` lies among what is read or
            holds what another run has written, or another run is writing there.
        OSError: if something cannot be read or written.
    """
    settings = settings_beside(shards)
    kind = settings.get("job")
    if kind not in (*_MASKS, PANOPTIC):
        raise ValueError(
            f"{shards.root}: holds no labels, which segment, refine and panoptic write"
        )
    panoptic = kind == PANOPTIC
    read = (path for path in map(local_path, shards) if path is not None)
    if panoptic:
        names = ("panoptic.json", "instances.json")
        folders = [out / folder for folder in _FOLDERS]
        check_outputs(files=[out / name for name in names], folders=folders, read=read)
    else:
        check_outputs(files=[out], read=read)
    with _locked(out, panoptic), tempfile.TemporaryFile(prefix="trace-mm-") as spool:
        put = _put_maps(out) if panoptic else _put_nothing
        merged = _Merged(spool)
        for address in watched(shards, show=show_progress, unit="shard"):
            for sample in read_shard(address):
                merged.add(address, sample, put)
        if panoptic:
            _remove_earlier(out, merged)
            _write_panoptic(out, merged, settings)
        else:
            _write_masks(out, merged, settings)
        return merged.summary()


@contextmanager
def _locked(out: Path, panoptic: bool) -> Iterator[None]:
    """Within this context no other merge writes there; what a killed one left half-written goes."""
    folder = out if panoptic else out.parent
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, "" if panoptic else out.name):
        if panoptic and (out / MANIFEST_FILE).exists():
            raise ValueError(f"{out} holds the labels of a folder of images: choose another folder")
        folders = [out / folder for folder in _FOLDERS] if panoptic else []
        remove_temporary_files([] if panoptic else [out], folders, out if panoptic else None)
        yield


def _remove_earlier(out: Path, merged: "_Merged") -> None:
    """Remove the maps that an earlier merge lists and this one does not."""
    earlier, _ = sorted_keys(PackedStrings(_listed(out / "panoptic.json")))
    stays = bytearray(len(earlier))
    for _, record in merged.records():
        number = earlier.find(f"{record.key}.png")
        if number is not None:
            stays[number] = True
    for name, stay in zip(earlier, stays, strict=True):
        if not stay and ".." not in PurePosixPath(name).parts:
            for folder in _FOLDERS:
                (out / folder / name.lstrip("/")).unlink(missing_ok=True)


def _listed(path: Path) -> Iterator[str]:
    """Names of the maps that a file of an earlier merge lists; its content is never held whole."""
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        if _OURS.match(content):
            for found in _ENTRY.finditer(content):
                yield json.loads(found[1])


@dataclass
class _Merged:
    """Records of labelled images, in a temporary file, and what became of the others."""

    spool: BinaryIO
    images: int = 0
    without: int = 0
    failed: int = 0
    segments: Counter[int] = field(default_factory=Counter)
    reasons: list[str] = field(default_factory=list)

    def add(self, address: str, sample: Sample, put: Callable[[Sample], None]) -> None:
        """Take a sample in, and its maps by ``put`` if it is labelled."""
        record = read_record(sample.files.get(RECORD, b""))
        if record is None or record.key != sample.key:
            raise ValueError(f"{address}: sample {sample.key!r} has no sound record ({RECORD})")
        if record.error is not None:
            self.failed += 1
            self.reasons += [f"{address}: {record.error}"][: _REASONS - len(self.reasons)]
        elif "annotations" not in record.result:
            self.without += 1
        else:
            self.images += 1
            self.segments.update(one["category_id"] for one in record.result["annotations"])
            put(sample)
            self.spool.write(record.line())

    def records(self) -> Iterator[tuple[int, Record]]:
        """Ids and records of the labelled images."""
        self.spool.seek(0)
        for number, line in enumerate(self.spool, start=1):
            record = read_record(line)
            assert record is not None
            yield number, record

    def images_of(self) -> Iterator[dict[str, Any]]:
        """Entries of ``images``."""
        for number, record in self.records():
            size = {side: record.result[side] for side in ("height", "width")}
            yield {"id": number, "file_name": record.state["file_name"], **size}

    def instances(self) -> Iterator[dict[str, Any]]:
        """Entries of ``annotations`` that have a mask, with ids from 1 up."""
        count = 0
        for number, record in self.records():
            for entry in record.result["annotations"]:
                if "segmentation" in entry:
                    count += 1
                    rest = {key: value for key, value in entry.items() if key != "id"}
                    yield {"id": count, "image_id": number, **rest}

    def panoptic(self) -> Iterator[dict[str, Any]]:
        """Entries of ``annotations`` of a panoptic file."""
        for number, record in self.records():
            yield {
                "image_id": number,
                "file_name": f"{record.key}.png",
                "segments_info": [
                    {key: value for key, value in entry.items() if key != "segmentation"}
                    for entry in record.result["annotations"]
                ],
            }

    def summary(self) -> MergeSummary:
        return MergeSummary(
            images=self.images,
            annotations=self.segments.total(),
            without=self.without,
            images_failed=self.failed,
            reasons=tuple(self.reasons),
        )


def _put_nothing(sample: Sample) -> None:
    """Refined masks have no files."""


def _put_maps(out: Path) -> Callable[[Sample], None]:
    def put(sample: Sample) -> None:
        for folder in _FOLDERS:
            write_atomically(out / folder / f"{sample.key}.png", sample.files[f"{folder}.png"])

    return put


def _info(about: str, settings: dict[str, Any]) -> dict[str, Any]:
    told = {key: value for key, value in settings.items() if key not in ("results", "categories")}
    return {"description": f"{about} (trace_mm)", "version": __version__, **told}


def _write_masks(out: Path, merged: _Merged, settings: dict[str, Any]) -> None:
    info = _info(_MASKS[settings["job"]], settings)
    categories: Iterable[dict[str, Any]] = categories_of(merged.segments, {})
    write_coco(out, info, merged.images_of(), merged.instances(), categories)


def _write_panoptic(out: Path, merged: _Merged, settings: dict[str, Any]) -> None:
    info = _info(_ABOUT, settings)
    categories = settings["categories"]
    things = [{"id": one["id"], "name": one["name"]} for one in categories if one["isthing"]]
    write_coco(out / "instances.json", info, merged.images_of(), merged.instances(), things)
    write_coco(out / "panoptic.json", info, merged.images_of(), merged.panoptic(), categories)
