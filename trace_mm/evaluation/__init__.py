"""Scores of edge maps and of instance masks."""

from trace_mm.evaluation.edge_counts import CountingSettings, ImageCounts, count_edges
from trace_mm.evaluation.edge_metric import InstanceEdgeMetric
from trace_mm.evaluation.edge_scores import EdgeScores, evaluate_edges, summarize
from trace_mm.evaluation.instance_ground_truth import InstanceGroundTruth
from trace_mm.evaluation.instance_metric import ClassAgnosticInstanceMetric
from trace_mm.evaluation.instance_scores import InstanceScores, evaluate_instances

__all__ = [
    "ClassAgnosticInstanceMetric",
    "CountingSettings",
    "EdgeScores",
    "ImageCounts",
    "InstanceEdgeMetric",
    "InstanceGroundTruth",
    "InstanceScores",
    "count_edges",
    "evaluate_edges",
    "evaluate_instances",
    "summarize",
]
