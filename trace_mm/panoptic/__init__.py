"""Pseudo-panoptic labels: semantic maps, and things told apart by instance edges."""

from trace_mm.panoptic.class_choice import choose_classes, class_names
from trace_mm.panoptic.classes import PanopticClasses, shipped_class_files
from trace_mm.panoptic.labels import PanopticLabeler, PanopticLabels
from trace_mm.panoptic.semantic_maps import SemanticMaps

__all__ = [
    "PanopticClasses",
    "PanopticLabeler",
    "PanopticLabels",
    "SemanticMaps",
    "choose_classes",
    "class_names",
    "shipped_class_files",
]
