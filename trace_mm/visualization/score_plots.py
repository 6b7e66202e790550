"""Figures of numbers: emergence scores, histograms of t*, precision and recall."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from trace_mm.visualization.plot_style import MUTED, look_of, paper_style

DIVERGENCE_NAMES = {
    "kl": "KL",
    "symmetric_kl": "symmetric KL",
    "js": "Jensen-Shannon",
    "l2": "L2",
    "l1": "L1",
    "entropy": "entropy difference",
    "wasserstein": "Wasserstein",
    "cosine": "cosine",
}
_ISO_F = np.arange(0.1, 0.95, 0.1)


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision and recall of a detector over its thresholds, and where F is best (ODS).

    Attributes:
        precision: (T,), in [0, 1].
        recall: (T,), in [0, 1].
        best: (precision, recall, F) at the ODS threshold.
    """

    precision: Sequence[float]
    recall: Sequence[float]
    best: tuple[float, float, float]


def plot_scores(timesteps: Sequence[int], scores: Mapping[str, ArrayLike]) -> Figure:
    """Emergence scores (Eq. 1) over timesteps: mean and quartiles over images, a line a divergence.

    Divergences have units of their own, so that each is divided by its highest mean.

    Args:
        timesteps: those that have a score, increasing.
        scores: (images, timesteps) by divergence, in the order in which they are drawn.

    Raises:
        ValueError: if there is no score, or shapes do not fit.
    """
    tables = {kind: _table(kind, values, len(timesteps)) for kind, values in scores.items()}
    images = _image_count(tables)
    with paper_style():
        figure = Figure(figsize=(5.2, 3.4), layout="constrained")
        axes = figure.add_subplot()
        for number, (kind, table) in enumerate(tables.items()):
            mean = table.mean(axis=0)
            shares = table / mean.max()
            low, high = np.quantile(shares, (0.25, 0.75), axis=0)
            look = look_of(number)
            label = f"{_divergence_name(kind)}, peak at t = {timesteps[int(mean.argmax())]}"
            axes.plot(timesteps, mean / mean.max(), label=label, **look)
            axes.fill_between(timesteps, low, high, color=look["color"], alpha=0.14, linewidth=0)
        axes.set_xticks(list(timesteps))
        axes.set_ylim(bottom=0)
        axes.set_xlabel("timestep t (more noise →)")
        axes.set_ylabel("score / highest mean score")
        axes.set_title(f"How much attention changes up to t ({_images(images)})", loc="left")
        axes.legend(loc="best", title="mean; band: quartiles", alignment="left")
    return figure


def plot_timestep_histogram(
    timesteps: Sequence[int], chosen: Mapping[str, Sequence[int]]
) -> Figure:
    """How often each timestep is t*, the emergence point of Eq. 1, for each divergence.

    Args:
        timesteps: those that can be chosen, increasing.
        chosen: t* of each image, by divergence.

    Raises:
        ValueError: if there is none, or one is not among the timesteps.
    """
    counts = {kind: _counts(kind, steps, timesteps) for kind, steps in chosen.items()}
    if not counts or any(count.sum() == 0 for count in counts.values()):
        raise ValueError("there is no image to make a histogram of")
    places = np.arange(len(timesteps))
    width = 0.82 / len(counts)
    with paper_style():
        figure = Figure(figsize=(5.2, 3.2), layout="constrained")
        axes = figure.add_subplot()
        for number, (kind, count) in enumerate(counts.items()):
            shift = (number - (len(counts) - 1) / 2) * width
            axes.bar(
                places + shift,
                100 * count / count.sum(),
                width=0.92 * width,
                color=look_of(number)["color"],
                label=_divergence_name(kind),
            )
        axes.set_xticks(places, [str(step) for step in timesteps])
        axes.grid(visible=False, axis="x")
        axes.set_xlabel("emergence point t*")
        axes.set_ylabel("images (%)")
        total = int(next(iter(counts.values())).sum())
        axes.set_title(f"Where instances emerge ({_images(total)})", loc="left")
        axes.legend(loc="best")
    return figure


def plot_precision_recall(curves: Mapping[str, PrecisionRecall]) -> Figure:
    """Precision over recall of several detectors, the best first, with lines of equal F.

    Args:
        curves: by the detectors' names.

    Raises:
        ValueError: if there is none.
    """
    if not curves:
        raise ValueError("there is no curve to draw")
    ordered = sorted(curves.items(), key=lambda item: item[1].best[2], reverse=True)
    with paper_style():
        figure = Figure(figsize=(4.8, 4.8), layout="constrained")
        axes = figure.add_subplot()
        _draw_iso_f(axes)
        for number, (name, curve) in enumerate(ordered):
            look = look_of(number)
            precision, recall = np.asarray(curve.precision), np.asarray(curve.recall)
            order = np.argsort(recall, kind="stable")
            used = order[(precision + recall)[order] > 0]  # a threshold without edges has neither
            axes.plot(recall[used], precision[used], color=look["color"])
            axes.plot(
                curve.best[1],
                curve.best[0],
                **look,
                markersize=8,
                markeredgecolor="white",
                label=f"{curve.best[2]:.3f}  {name}",
            )
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="recall", ylabel="precision", aspect="equal")
        axes.set_xticks(np.arange(0, 1.01, 0.2))
        axes.set_yticks(np.arange(0, 1.01, 0.2))
        axes.grid(visible=False)
        axes.set_title("Precision and recall of edges", loc="left")
        legend = axes.legend(loc="lower left", title="ODS (marked)", alignment="left")
        legend.set(frame_on=True)
        legend.get_frame().set(facecolor="white", edgecolor="none", alpha=0.9)
    return figure


def _draw_iso_f(axes: Any) -> None:
    for f in _ISO_F:
        recall = np.linspace(f / (2 - f) + 1e-6, 1, 200)
        precision = f * recall / (2 * recall - f)
        axes.plot(recall, precision, color="#bfd8bf", linewidth=0.8, zorder=0)
        axes.annotate(
            f"F = {f:.1f}" if f > 0.85 else f"{f:.1f}",
            (1, f / (2 - f)),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            color=MUTED,
            fontsize=8,
            annotation_clip=False,
        )


def _table(kind: str, values: ArrayLike, columns: int) -> NDArray[np.float64]:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != columns or table.size == 0:
        raise ValueError(
            f"scores of {kind} must be (images, {columns} timesteps), got {table.shape}"
        )
    if not np.isfinite(table).all() or table.mean(axis=0).max() <= 0:
        raise ValueError(f"scores of {kind} must be finite and not all 0")
    return table


def _image_count(tables: Mapping[str, NDArray[np.float64]]) -> int:
    counts = {len(table) for table in tables.values()}
    if len(counts) != 1:
        raise ValueError(f"each divergence needs scores of the same images, got {counts or 'none'}")
    return counts.pop()


def _counts(kind: str, steps: Sequence[int], timesteps: Sequence[int]) -> NDArray[np.int64]:
    odd = sorted(set(steps) - set(timesteps))
    if odd:
        raise ValueError(f"t* of {kind} is {odd[0]}, which is none of {list(timesteps)}")
    return np.array([sum(step == place for step in steps) for place in timesteps])


def _divergence_name(kind: str) -> str:
    return DIVERGENCE_NAMES.get(kind, kind)


def _images(count: int) -> str:
    return f"{count} image" + ("" if count == 1 else "s")
