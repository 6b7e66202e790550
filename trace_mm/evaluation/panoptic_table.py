"""Panoptic scores as text and as JSON."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from trace_mm.evaluation.panoptic_quality import PanopticScores, Quality


def panoptic_table(
    scores: PanopticScores, names: Mapping[int, str], by_category: bool = False
) -> str:
    """PQ, SQ and RQ in per cent of all categories, of things and of stuff, a line each.

    Args:
        scores: what to print.
        names: of the categories, by id.
        by_category: whether each category has a line too. One that does not occur has dashes.
    """
    groups = [("all", scores.all), ("things", scores.things), ("stuff", scores.stuff)]
    rows = [(name, quality, quality.categories if quality else 0) for name, quality in groups]
    if by_category:
        rows += [(name, scores.by_category.get(key), 1) for key, name in names.items()]
    width = max(len(name) for name, _, _ in rows)
    lines = [f"{'':{width}}      PQ      SQ      RQ  categories"]
    for position, (name, quality, categories) in enumerate(rows):
        count = f"  {categories:10d}" if position < len(groups) else ""
        lines.append(f"{name:{width}}{_numbers(quality)}{count}")
    return "\n".join(lines)


def scores_as_json(scores: PanopticScores, names: Mapping[int, str]) -> dict[str, Any]:
    """All scores in per cent and all counts, as values that JSON can hold."""
    return {
        **scores.percentages(),
        "categories": [
            {
                "id": category,
                "name": names[category],
                **{name: 100 * getattr(quality, name.lower()) for name in ("PQ", "SQ", "RQ")},
                **asdict(scores.counts[category]),
            }
            for category, quality in sorted(scores.by_category.items())
        ],
    }


def _numbers(quality: Quality | None) -> str:
    if quality is None:
        return f"{'-':>8}" * 3
    return "".join(f"{100 * value:8.2f}" for value in quality[:3])
