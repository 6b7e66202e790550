"""Procedural scenes with exact instance ground truth."""

from .scene import Scene, render_scene
from .shapes import SHAPE_CLASSES

__all__ = ["SHAPE_CLASSES", "Scene", "render_scene"]
