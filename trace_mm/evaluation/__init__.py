"""Scores of edge maps, of instance masks, and of panoptic and semantic maps."""

from trace_mm.evaluation.edge_counts import CountingSettings, ImageCounts, count_edges
from trace_mm.evaluation.edge_metric import InstanceEdgeMetric
from trace_mm.evaluation.edge_scores import EdgeScores, evaluate_edges, summarize
from trace_mm.evaluation.instance_ground_truth import InstanceGroundTruth
from trace_mm.evaluation.instance_metric import ClassAgnosticInstanceMetric
from trace_mm.evaluation.instance_results import InstanceResultsFile
from trace_mm.evaluation.instance_scores import InstanceScores, evaluate_instances
from trace_mm.evaluation.panoptic_files import score_panoptic_files
from trace_mm.evaluation.panoptic_metric import PanopticQualityMetric
from trace_mm.evaluation.panoptic_quality import (
    PanopticScores,
    SegmentCounts,
    count_segments,
    panoptic_quality,
    sum_counts,
)
from trace_mm.evaluation.semantic_metric import SemanticIoUMetric
from trace_mm.evaluation.semantic_scores import SemanticScores, confusion_matrix

__all__ = [
    "ClassAgnosticInstanceMetric",
    "CountingSettings",
    "EdgeScores",
    "ImageCounts",
    "InstanceEdgeMetric",
    "InstanceGroundTruth",
    "InstanceResultsFile",
    "InstanceScores",
    "PanopticQualityMetric",
    "PanopticScores",
    "SegmentCounts",
    "SemanticIoUMetric",
    "SemanticScores",
    "confusion_matrix",
    "count_edges",
    "count_segments",
    "evaluate_edges",
    "evaluate_instances",
    "panoptic_quality",
    "score_panoptic_files",
    "sum_counts",
    "summarize",
]
