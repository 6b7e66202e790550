"""Edges of many image files into a folder: resumable, and nothing is lost on the way."""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.apis.batches import batched
from trace_mm.apis.inputs import ImageSource
from trace_mm.apis.manifest import Manifest, Record, remove_listed_results
from trace_mm.apis.places import MANIFEST_FILE, check_edge_places, result_folders
from trace_mm.apis.progress import progress_bar
from trace_mm.apis.results import (
    check_save_kinds,
    result_paths,
    write_results,
)
from trace_mm.files import (
    absolute_path,
    decode_image,
    locked,
    read_file,
    remove_temporary_files,
)
from trace_mm.short_repr import ShortRepr
from trace_mm.structures import EdgeDataSample

Image = NDArray[np.float32]
Predict = Callable[[list[Image]], Sequence[EdgeDataSample]]


@dataclass(frozen=True, repr=False)
class FolderRunSummary(ShortRepr):
    """What a run did.

    Attributes:
        done: names of the images whose results were written now.
        skipped: names of those that were finished before.
        failed: reason by path of those that could not be processed.
    """

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Job:
    """An image that is read and waits for its edges."""

    record: Record
    image: Image


def run_folder(
    predict: Predict,
    sources: Sequence[ImageSource],
    out_dir: str | os.PathLike[str],
    *,
    settings: dict[str, Any],
    save: Sequence[str] = ("png",),
    batch_size: int = 1,
    overwrite: bool = False,
    show_progress: bool = True,
) -> FolderRunSummary:
    """Write the edges of image files to ``out_dir``; go on where an earlier run stopped.

    Results are ``edges/NAME.png`` and what else ``save`` asks for (see
    :func:`trace_mm.apis.results.encode_result`), each put in place whole. ``manifest.jsonl``
    records the settings and every image. An image is skipped if it is recorded as done, its file
    has not changed, and its results are there in the recorded size. One that cannot be read is
    recorded with the reason, and the run goes on.

    Args:
        predict: float32 (H, W, 3) RGB images in [0, 1] to their predictions. A ValueError means
            that an image is at fault.
        sources: image files, see :func:`trace_mm.apis.expand_inputs`. Names that repeat are
            processed once.
        out_dir: made if needed.
        settings: everything that the results depend on, as JSON values.
        save: kinds of results.
        batch_size: how many images go to ``predict`` at a time; it does not change results.
        overwrite: remove the results of the folder's manifest first and start anew.
        show_progress: draw a progress bar on stderr.

    Returns:
        What was done, skipped and failed.

    Raises:
        ValueError: if an option is wrong, an image would be written onto, the folder holds results
            of other settings or of other files, or another run is writing to it.
        OSError: if a result cannot be written.
    """
    kinds = check_save_kinds(save)
    if batch_size < 1:
        raise ValueError(f"the batch size must be at least 1, got {batch_size}")
    for source in sources:
        if not isinstance(source.image, Path):
            raise ValueError(f"{source.label}: a folder run takes files only")
    out = Path(out_dir)
    check_edge_places(sources, out)
    out.mkdir(parents=True, exist_ok=True)
    unique = list({source.name: source for source in sources}.values())
    with locked(out):
        remove_temporary_files(folders=result_folders(out), top=out)
        if overwrite:
            remove_listed_results(out)
        else:
            _check_unclaimed(out)
        start = Manifest.create if overwrite else Manifest.open_or_create
        with start(out, {**settings, "save": list(kinds)}) as manifest:
            summary = _process(predict, unique, out, manifest, kinds, batch_size, show_progress)
            manifest.finish()
    return summary


def _process(
    predict: Predict,
    sources: Sequence[ImageSource],
    out: Path,
    manifest: Manifest,
    kinds: Sequence[str],
    batch_size: int,
    show_progress: bool,
) -> FolderRunSummary:
    summary = FolderRunSummary()
    waiting = []
    for source in sources:
        if _is_finished(source, manifest.records.get(source.name), out, kinds):
            summary.skipped.append(source.name)
        else:
            waiting.append(source)
    with progress_bar(len(sources), len(summary.skipped), show_progress) as progress:

        def fail(record: Record, error: Exception) -> None:
            manifest.add(replace(record, error=str(error)))
            summary.failed[record.source] = str(error)
            progress.write(f"failed: {error}", file=sys.stderr)
            progress.update()

        for batch in batched(_read_jobs(waiting, fail), batch_size):
            for job, sample in _predict_batch(predict, batch, fail):
                outputs = write_results(out, job.record.name, kinds, sample, job.image)
                manifest.add(replace(job.record, outputs=outputs, timestep=sample.get("timestep")))
                summary.done.append(job.record.name)
                progress.update()
    return summary


def _read_jobs(
    sources: Sequence[ImageSource], fail: Callable[[Record, Exception], None]
) -> Iterator[_Job]:
    for source in sources:
        path = absolute_path(Path(source.label))
        record = Record(source.name, str(path))
        try:
            data = read_file(path)
            record = replace(
                record,
                size=len(data),
                modified=path.stat().st_mtime_ns,
                sha256=hashlib.sha256(data).hexdigest(),
            )
            image = decode_image(data, source.label)
        except (ValueError, OSError) as error:
            fail(record, error)
        else:
            yield _Job(record, image)


def _predict_batch(
    predict: Predict, batch: list[_Job], fail: Callable[[Record, Exception], None]
) -> Iterator[tuple[_Job, EdgeDataSample]]:
    """Predictions of a batch; where one image spoils it, those of the others one by one."""
    try:
        samples = predict([job.image for job in batch])
    except ValueError as error:
        if len(batch) == 1:
            fail(batch[0].record, ValueError(f"{batch[0].record.source}: {error}"))
            return
        for job in batch:
            yield from _predict_batch(predict, [job], fail)
    else:
        yield from zip(batch, samples, strict=True)


def _is_finished(
    source: ImageSource, record: Record | None, out: Path, kinds: Sequence[str]
) -> bool:
    """Whether an image's results are there, and are its own.

    Raises:
        ValueError: if the results belong to another file of that name.
    """
    if record is None or record.error is not None:
        return False
    path = absolute_path(Path(source.label))
    moved = record.source != str(path)
    try:
        state = path.stat()
        unchanged = not moved and (state.st_size, state.st_mtime_ns) == (
            record.size,
            record.modified,
        )
        if not unchanged:
            unchanged = hashlib.sha256(path.read_bytes()).hexdigest() == record.sha256
    except OSError:  # reading it later says what is wrong
        unchanged = False
    if moved and not unchanged:
        raise ValueError(
            f"{out} holds the results of {record.source} under the name {record.name!r}, those of "
            f"{path} would replace them: choose another folder, or --overwrite to start anew"
        )
    expected = set(result_paths(source.name, kinds).values())
    return (
        unchanged
        and record.outputs.keys() == expected
        and all(_has_size(out / name, size) for name, size in record.outputs.items())
    )


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _check_unclaimed(out: Path) -> None:
    """Refuse to write among files that no manifest accounts for."""
    if (out / MANIFEST_FILE).exists():
        return
    for folder in result_folders(out):
        if folder.is_dir() and any(folder.iterdir()):
            raise ValueError(
                f"{folder} holds files, but {out} has no {MANIFEST_FILE} of a run that wrote them: "
                f"choose another folder, or --overwrite"
            )
