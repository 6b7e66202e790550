"""Fill a dataset's cache of pseudo edges, and pack it: resumable, and wherever workers are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mmengine.config import Config

from trace_mm.datasets.packed_entries import ENTRIES_A_SHARD
from trace_mm.datasets.pseudo_edge_cache import PseudoEdgeCache
from trace_mm.files import locked
from trace_mm.jobs.edge_sources import EdgeModel
from trace_mm.jobs.pseudo_edges import Predict, PseudoEdgeJob, TeacherEntries
from trace_mm.lazy import lazy_module
from trace_mm.models.model_config import method_of
from trace_mm.registry import DATASETS
from trace_mm.runs.engine import run
from trace_mm.runs.executors import Executor
from trace_mm.runs.group import is_launched, is_leader, note_once
from trace_mm.runs.summary import RunSummary

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from trace_mm.datasets.unlabelled_dataset import UnlabelledImageDataset
    from trace_mm.models.distillation import Distillation
else:
    torch = lazy_module("torch")

_LABELLED = 200  # images whose labels are counted
_READING_ERRORS = (ValueError, FileNotFoundError)


@dataclass(frozen=True, repr=False)
class FillSummary(RunSummary):
    """What a fill did, the same in all processes.

    Attributes:
        done: images that were looked at now, whose entries are there.
        skipped: images that have not changed since their entries were made.
        failed: why others have no entry, by image.
        folder: of the entries.
        labels: what labels a student gets of the entries, in words; empty if no student is known,
            if nothing was done, and in other processes than the leading one.
    """

    folder: Path = Path()
    labels: Sequence[str] = field(default_factory=list)

    def describe(self, out: object) -> list[str]:
        """Lines for the person who has run it."""
        return [*super().describe(out), *self.labels]


def fill_from_config(
    cfg: Config,
    device: str | torch.device | None = None,
    *,
    elsewhere: bool = False,
    executor: Executor | None = None,
    batch_size: int = 1,
    rank: int = 0,
    world_size: int = 1,
) -> FillSummary:
    """Compute the pseudo edges of a training config's images by the teacher that it names.

    Args:
        cfg: with ``train_dataloader.dataset.pseudo_edges``.
        device: of the teacher; see :func:`trace_mm.models.devices.check_device`.
        elsewhere: likewise.
        executor: see :func:`fill_pseudo_edges`.
        batch_size: likewise.
        rank: likewise.
        world_size: likewise.

    Raises:
        ValueError: if the config has no cache to fill.
    """
    settings = _dataset_settings(cfg)
    dataset = DATASETS.build(settings)
    read = _images_read(cfg)
    if read is not None and read < len(dataset):
        note_once(
            f"a training process of this config reads {read} images, of which none comes twice: "
            f"with train_dataloader.dataset.limit={read}, {len(dataset) - read} fewer are computed"
        )
    teacher = TeacherEntries(EdgeModel(dataset.pseudo_edges.teacher, device, elsewhere))
    _check_shared(rank, world_size)
    summary = _fill(dataset, teacher, executor, batch_size)
    model = cfg.get("model", {})
    if "type" not in model or method_of(model) != "student":
        return summary
    if not summary.done or not is_leader():
        return summary
    from trace_mm.models.distillation import distillation

    options = {"pseudo_label": model.get("pseudo_label"), "label_grid": model.get("label_grid")}
    labels = describe_labels(dataset, distillation(model.get("preset"), **options))
    return FillSummary(
        summary.done, summary.skipped, summary.failed, folder=summary.folder, labels=labels
    )


def pack_from_config(cfg: Config, size: int = ENTRIES_A_SHARD) -> str:
    """Move the entries of a training config's teacher from files into shards.

    All entries of the teacher, of this and other datasets. A kill at any moment loses nothing; the
    same call goes on.

    Args:
        cfg: with ``train_dataloader.dataset.pseudo_edges``.
        size: entries a shard.

    Returns:
        What was done, in words.

    Raises:
        ValueError: if the config has no cache, another run is writing to it, or an entry is
            damaged; names it.
        OSError: if a shard cannot be written.
    """
    cache = PseudoEdgeCache(**_dataset_settings(cfg)["pseudo_edges"])
    cache.folder.mkdir(parents=True, exist_ok=True)
    with locked(cache.folder):
        count = cache.pack(size)
    shards = len(cache.packed.shards())
    return f"{count} entries packed, {len(cache.packed)} in {shards} shards: {cache.packed.folder}"


def _dataset_settings(cfg: Config) -> Config:
    settings = cfg.get("train_dataloader", {}).get("dataset", {})
    if not settings.get("pseudo_edges"):
        raise ValueError(
            f"{cfg.filename}: train_dataloader.dataset has no pseudo_edges=dict(folder=..., "
            f"teacher=...), so that there is no cache to fill"
        )
    return settings


def _images_read(cfg: Config) -> int | None:
    """How many images one process of a config's training reads; None if that is not known."""
    iterations = cfg.get("train_cfg", {}).get("max_iters")
    batch = cfg.train_dataloader.get("batch_size")
    return None if iterations is None or batch is None else iterations * batch


def describe_labels(dataset: UnlabelledImageDataset, how: Distillation) -> list[str]:
    """The labels that a student gets of a dataset's pseudo edges, in words.

    Args:
        dataset: with a filled cache, of which up to 200 images are looked at.
        how: labels are made.

    Returns:
        Their shares, and a warning for each class that more than half of the images lack.
    """
    from trace_mm.models.distillation import label_shares
    from trace_mm.models.label_watch import missing_class_warning

    cache = dataset.pseudo_edges
    shares: list[dict[str, float]] = []
    for index in range(0, len(dataset), -(-len(dataset) // _LABELLED)):
        source, number = dataset.locate(index)
        try:
            name = source.name(number)
            key = cache.key(source.digest(number), dataset.size, name) if cache else ""
        except _READING_ERRORS:
            continue  # among those that failed
        if cache and cache.has(key):
            edges = cache.load(key, f"image {index}")[None, None]
            labels = how.labels(edges, dataset.size)
            shares.append({name: float(part) for name, part in label_shares(labels).items()})
    if not shares:
        return []
    parts = ", ".join(f"{sum(s[n] for s in shares) / len(shares):.1%} {n}" for n in shares[0])
    if how.edge_loss == "cross_entropy":
        return [f"the teacher's edges of {len(shares)} images, as probabilities: {parts}"]
    lines = [f"labels by {how.pseudo_label!r} of {len(shares)} images: {parts}"]
    for name in ("edge", "interior"):
        count = sum(part[name] == 0 for part in shares)
        if 2 * count > len(shares):
            lines.append(missing_class_warning(count, len(shares), name, how.pseudo_label))
    return lines


def fill_pseudo_edges(
    dataset: UnlabelledImageDataset,
    predict: Callable[[Tensor], Tensor],
    *,
    executor: Executor | None = None,
    batch_size: int = 1,
    rank: int = 0,
    world_size: int = 1,
    show_progress: bool = True,
) -> FillSummary:
    """Compute the pseudo edges of each image that has none.

    Every entry is written whole, so that a killed run goes on where it stopped; images that have
    not changed since are not read again. The processes of torchrun or Slurm share a fill, as do the
    workers of an executor. Another fill of the same teacher's entries at the same time is refused.

    Args:
        dataset: with a cache.
        predict: from an image as the model is shown it, float32 (3, H, W) in [0, 1], to its edges
            in [0, 1], on a token grid (h, w) or (H, W). For workers in other processes it must be
            possible to pickle it.
        executor: where images are processed; None is in this process.
        batch_size: how many images are predicted at a time.
        rank: no longer needed: torchrun and Slurm tell.
        world_size: likewise.
        show_progress: draw a progress bar on stderr.

    Raises:
        ValueError: if the dataset has no cache, one in a store, or one among the images of a
            folder; or another run is writing to it.
        OSError: if an entry cannot be written.
    """
    _check_shared(rank, world_size)
    return _fill(dataset, _EachImage(predict), executor, batch_size, show_progress)


@dataclass(frozen=True)
class _EachImage:
    """A function of one image as one of several."""

    predict: Callable[[Tensor], Tensor]

    def __call__(self, images: Sequence[Tensor], names: Sequence[str]) -> list[Tensor]:
        return [self.predict(image) for image in images]


def _fill(
    dataset: UnlabelledImageDataset,
    predict: Predict,
    executor: Executor | None,
    batch_size: int,
    show_progress: bool = True,
) -> FillSummary:
    job = PseudoEdgeJob(dataset, predict)
    result = run(job, executor, batch_size=batch_size, show_progress=show_progress)
    return FillSummary(result.done, result.skipped, result.failed, folder=job.cache.folder)


def _check_shared(rank: int, world_size: int) -> None:
    if world_size > 1 and not is_launched():
        raise ValueError(
            f"rank {rank} of {world_size}: the processes of a fill share it out by themselves; "
            f"start them by torchrun or srun, or give workers to one"
        )
