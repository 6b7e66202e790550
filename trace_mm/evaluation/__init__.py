"""Scores of edge maps."""

from trace_mm.evaluation.edge_counts import CountingSettings, ImageCounts, count_edges
from trace_mm.evaluation.edge_scores import EdgeScores, evaluate_edges, summarize

__all__ = [
    "CountingSettings",
    "EdgeScores",
    "ImageCounts",
    "count_edges",
    "evaluate_edges",
    "summarize",
]
