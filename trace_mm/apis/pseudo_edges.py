"""Fill a dataset's cache of pseudo edges: resumable, and by as many processes as there are."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from mmengine.config import Config
from torch import Tensor

from trace_mm.console import note
from trace_mm.datasets import PseudoEdgeCache, UnlabelledImageDataset
from trace_mm.datasets.image_sources import ImageFolder
from trace_mm.datasets.pseudo_edge_cache import entry_of
from trace_mm.files import check_outputs
from trace_mm.jobs.edge_sources import EdgeModel, NamedImage
from trace_mm.models.distillation import Distillation, distillation, label_shares
from trace_mm.models.label_watch import missing_class_warning
from trace_mm.models.model_config import method_of
from trace_mm.ops import pseudo_edges
from trace_mm.registry import DATASETS
from trace_mm.runs.progress import progress_bar

_POLL_SECONDS = 0.5
_LABELLED = 200  # images whose labels are counted
_READING_ERRORS = (ValueError, FileNotFoundError)


@dataclass
class FillSummary:
    """What a fill did.

    Attributes:
        folder: of the entries.
        done: how many entries this process made.
        present: how many were there, or were made by other processes meanwhile.
        unreadable: why images could not be read, in the order of the dataset.
        labels: what labels a student gets of the entries, in words; empty if no student is known.
    """

    folder: Path
    done: int = 0
    present: int = 0
    unreadable: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


def fill_from_config(
    cfg: Config, device: str | torch.device, *, rank: int = 0, world_size: int = 1
) -> FillSummary:
    """Compute the pseudo edges of a training config's images by the teacher that it names.

    Args:
        cfg: with ``train_dataloader.dataset.pseudo_edges``.
        device: of the teacher.
        rank: see :func:`fill_pseudo_edges`.
        world_size: likewise.

    Raises:
        ValueError: if the config has no cache to fill.
    """
    settings = cfg.get("train_dataloader", {}).get("dataset", {})
    if not settings.get("pseudo_edges"):
        raise ValueError(
            f"{cfg.filename}: train_dataloader.dataset has no pseudo_edges=dict(folder=..., "
            f"teacher=...), so that there is no cache to fill"
        )
    dataset = DATASETS.build(settings)
    read = _images_read(cfg)
    if rank == 0 and read is not None and read < len(dataset):
        note(
            f"a training process of this config reads {read} images, of which none comes twice: "
            f"with train_dataloader.dataset.limit={read}, {len(dataset) - read} fewer are computed"
        )
    teacher = EdgeModel(dataset.pseudo_edges.teacher, device)

    def predict(image: Tensor) -> Tensor:
        shown = NamedImage("image", image.permute(1, 2, 0).contiguous().numpy())  # (H, W, 3)
        return entry_of(teacher.predict([shown])[0])

    summary = fill_pseudo_edges(dataset, predict, rank=rank, world_size=world_size)
    model = cfg.get("model", {})
    if "type" in model and method_of(model) == "student":
        options = {"pseudo_label": model.get("pseudo_label"), "label_grid": model.get("label_grid")}
        summary.labels = describe_labels(dataset, distillation(model.get("preset"), **options))
    return summary


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
    cache = dataset.pseudo_edges
    shares: list[dict[str, float]] = []
    for index in range(0, len(dataset), -(-len(dataset) // _LABELLED)):
        source, number = dataset.locate(index)
        try:
            key = cache.key(source.digest(number), dataset.size) if cache else ""
        except _READING_ERRORS:
            continue  # among the unreadable
        if cache and cache.has(key):
            edges = cache.load(key, f"image {index}")[None, None]
            labels = pseudo_edges(edges, how.pseudo_label, how.label_size(dataset.size))
            shares.append({name: float(part) for name, part in label_shares(labels).items()})
    if not shares:
        return []
    parts = ", ".join(f"{sum(s[n] for s in shares) / len(shares):.1%} {n}" for n in shares[0])
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
    rank: int = 0,
    world_size: int = 1,
    show_progress: bool = True,
) -> FillSummary:
    """Compute the pseudo edges of each image that has none.

    Every entry is written whole, so that a killed run goes on where it stopped. Any number of
    processes may fill one cache at the same time, with or without a share of their own: each entry
    is claimed before it is computed. When a process returns, all entries of its share are there.

    Args:
        dataset: with a cache.
        predict: from an image as the model is shown it, float32 (3, H, W) in [0, 1], to its edges
            in [0, 1], on a token grid (h, w) or (H, W).
        rank: of this process; it does images ``rank``, ``rank + world_size``, ...
        world_size: between how many processes the images are shared out.
        show_progress: draw a progress bar on stderr.

    Raises:
        ValueError: if the dataset has no cache, or one among the images of a folder.
        OSError: if an entry cannot be written.
    """
    cache = dataset.pseudo_edges
    if cache is None:
        raise ValueError("the dataset has no pseudo_edges=dict(folder=..., teacher=...) to fill")
    folders = [part.folder for part in dataset.sources if isinstance(part, ImageFolder)]
    check_outputs(folders=[cache.folder], searched=folders)
    cache.write_settings()
    summary, share = FillSummary(cache.folder), list(range(rank, len(dataset), world_size))
    with progress_bar(len(share), show=show_progress) as progress:
        while share:
            waiting = []  # for other processes, which may die
            for index in share:
                if _fill_one(dataset, cache, index, predict, summary):
                    progress.update()
                else:
                    waiting.append(index)
            if len(waiting) == len(share):
                time.sleep(_POLL_SECONDS)
            share = waiting
    return summary


def _fill_one(
    dataset: UnlabelledImageDataset,
    cache: PseudoEdgeCache,
    index: int,
    predict: Callable[[Tensor], Tensor],
    summary: FillSummary,
) -> bool:
    """Make the entry of one image; False if another process is at it."""
    source, number = dataset.locate(index)
    try:
        key = cache.key(source.digest(number), dataset.size)
    except _READING_ERRORS as error:
        summary.unreadable.append(str(error))
        return True
    if cache.has(key):
        summary.present += 1
        return True
    with cache.claim(key) as claimed:
        if not claimed:
            return False
        if cache.has(key):  # made between the two looks
            summary.present += 1
            return True
        try:
            image = source.read(number)
        except _READING_ERRORS as error:
            summary.unreadable.append(str(error))
            return True
        cache.store(key, predict(dataset.present(image)["inputs"]))
    summary.done += 1
    return True


def describe_summary(summary: FillSummary) -> str:
    """A summary as text, with each unreadable image on a line of its own."""
    first = (
        f"{summary.done} done, {summary.present} were there, {len(summary.unreadable)} unreadable: "
        f"{summary.folder}"
    )
    unreadable = [f"  {reason}" for reason in summary.unreadable]
    return "\n".join([first, *unreadable, *summary.labels])
