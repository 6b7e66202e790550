"""Datasets: images to train on, and photos and procedural scenes with true instance edges."""

from typing import TYPE_CHECKING

from trace_mm.lazy import lazy_exports

if TYPE_CHECKING:
    from trace_mm.datasets.collage_dataset import CollageDataset
    from trace_mm.datasets.edge_annotations import EDGE_ANNOTATIONS
    from trace_mm.datasets.edge_dataset import InstanceEdgeDataset
    from trace_mm.datasets.ground_truth import instance_borders
    from trace_mm.datasets.image_shards import ImageShards
    from trace_mm.datasets.image_sources import CocoImages, ImageFolder, SceneImages, VocImages
    from trace_mm.datasets.pseudo_edge_cache import PseudoEdgeCache
    from trace_mm.datasets.scene_edge_dataset import SceneEdgeDataset
    from trace_mm.datasets.scenes import render_scene
    from trace_mm.datasets.score_map_dataset import ScoreMapDataset
    from trace_mm.datasets.source_mask_dataset import SourceMaskDataset
    from trace_mm.datasets.unlabelled_dataset import UnlabelledImageDataset
    from trace_mm.datasets.visit import Visit
    from trace_mm.datasets.visits import VisitSampler

__all__ = [
    "EDGE_ANNOTATIONS",
    "CocoImages",
    "CollageDataset",
    "ImageFolder",
    "ImageShards",
    "InstanceEdgeDataset",
    "PseudoEdgeCache",
    "SceneEdgeDataset",
    "SceneImages",
    "ScoreMapDataset",
    "SourceMaskDataset",
    "UnlabelledImageDataset",
    "Visit",
    "VisitSampler",
    "VocImages",
    "instance_borders",
    "render_scene",
]

__getattr__ = lazy_exports(__name__)
