"""Procedural scenes with exact instance ground truth."""

from trace_mm.datasets.scenes.export import export_scenes
from trace_mm.datasets.scenes.scene import Scene, render_scene
from trace_mm.datasets.scenes.shapes import SHAPE_CLASSES

__all__ = ["SHAPE_CLASSES", "Scene", "export_scenes", "render_scene"]
