"""Datasets: photos and procedural scenes with true instance edges."""

from trace_mm.datasets.edge_annotations import EDGE_ANNOTATIONS
from trace_mm.datasets.edge_dataset import InstanceEdgeDataset
from trace_mm.datasets.ground_truth import instance_borders
from trace_mm.datasets.scene_edge_dataset import SceneEdgeDataset
from trace_mm.datasets.scenes import render_scene

__all__ = [
    "EDGE_ANNOTATIONS",
    "InstanceEdgeDataset",
    "SceneEdgeDataset",
    "instance_borders",
    "render_scene",
]
