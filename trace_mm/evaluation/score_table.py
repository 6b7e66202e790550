"""Scores as text."""

from collections.abc import Mapping


def scores_table(scores: Mapping[str, float]) -> str:
    """Scores as two columns, names without the metric's prefix."""
    names = [name.rsplit("/", 1)[-1] for name in scores]
    width = max(map(len, names))
    return "\n".join(f"{n:<{width}}  {v:.4f}" for n, v in zip(names, scores.values(), strict=True))
