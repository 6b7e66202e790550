"""Scores of edge maps."""

from trace_mm.evaluation.edge_counts import CountingSettings, ImageCounts, count_edges
from trace_mm.evaluation.edge_metric import InstanceEdgeMetric
from trace_mm.evaluation.edge_scores import EdgeScores, evaluate_edges, summarize

__all__ = [
    "CountingSettings",
    "EdgeScores",
    "ImageCounts",
    "InstanceEdgeMetric",
    "count_edges",
    "evaluate_edges",
    "summarize",
]
