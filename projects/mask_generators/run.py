"""Masks of a folder of images: one process computes features, others cut; resumable, in shares."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from projects.mask_generators.backbones import Backbone
from projects.mask_generators.methods import annotate
from trace_mm.apis.instance_records import Record, RecordFile, file_state
from trace_mm.apis.progress import progress_bar
from trace_mm.apis.worker_pool import WorkerPool
from trace_mm.files import load_image

# What an image can be at fault for: unreadable, too large for the memory, features not finite.
_ERRORS = (ValueError, OSError, RuntimeError, MemoryError)


@dataclass(frozen=True)
class _Job:
    """An image that is read: its record so far, and its pixels (3, H, W) in [0, 1]."""

    record: Record
    image: Tensor


def process(
    images: Sequence[tuple[str, Path]],
    backbone: Backbone,
    method: str,
    settings: Any,
    out: RecordFile,
    *,
    workers: int = 0,
    batch_size: int = 1,
    show_progress: bool = True,
) -> None:
    """Cut images and append a record for each, also for one that fails.

    Args:
        images: name and path of each.
        backbone: what computes features, in this process.
        method: a name in ``METHODS``.
        settings: of the method.
        out: where the records go.
        workers: processes that cut, with one thread each; 0 means this one.
        batch_size: how many images of one size go through the backbone together.
        show_progress: draw a progress bar on stderr.

    Raises:
        ValueError: if a number is out of range.
    """
    if workers < 0 or batch_size < 1:
        raise ValueError(f"workers must be at least 0, got {workers}; batch size {batch_size}")
    with progress_bar(len(images), show=show_progress) as progress:

        def finish(record: Record) -> None:
            out.add(record)
            if record.error is not None:
                progress.write(f"failed: {record.error}", file=sys.stderr)
            progress.update()

        with WorkerPool(workers, finish) as pool:
            for batch in _batches(_read(images, finish), backbone, batch_size):
                for job, features in _features(batch, backbone, finish):
                    # As an array: tensors would need shared memory.
                    pool.submit(_cut, method, features.numpy(), settings, job.record)
            pool.wait()


def _read(images: Sequence[tuple[str, Path]], finish: Callable[[Record], None]) -> Iterator[_Job]:
    for name, path in images:
        record = Record(name, *file_state(path))
        try:
            image = torch.from_numpy(load_image(path)).permute(2, 0, 1)  # (3, H, W)
            yield _Job(replace(record, height=image.shape[1], width=image.shape[2]), image)
        except _ERRORS as error:
            finish(replace(record, error=_reason(path, error)))


def _batches(jobs: Iterator[_Job], backbone: Backbone, size: int) -> Iterator[list[_Job]]:
    """Images that have one size for the backbone, so many at a time; smaller batches at the end."""
    waiting: dict[tuple[int, int], list[_Job]] = {}
    for job in jobs:
        shape = backbone.working_size((job.record.height, job.record.width))
        batch = waiting.setdefault(shape, [])
        batch.append(job)
        if len(batch) == size:
            yield waiting.pop(shape)
    yield from waiting.values()


def _features(
    batch: list[_Job], backbone: Backbone, finish: Callable[[Record], None]
) -> Iterator[tuple[_Job, Tensor]]:
    """Features (h, w, C) of a batch; where one image spoils it, those of the others one by one."""
    try:
        features = backbone([job.image for job in batch])
    except _ERRORS as error:
        if len(batch) == 1:
            record = batch[0].record
            finish(replace(record, error=_reason(record.name, error)))
            return
        for job in batch:
            yield from _features([job], backbone, finish)
    else:
        yield from zip(batch, features, strict=True)


def _cut(method: str, features: Any, settings: Any, record: Record) -> Record:
    size = record.height, record.width
    try:
        found = annotate(method, torch.from_numpy(features), settings, size)
    except _ERRORS as error:
        return replace(record, error=_reason(record.name, error))
    return replace(record, annotations=found)


def _reason(name: str | Path, error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text if text.startswith(str(name)) else f"{name}: {text}"
