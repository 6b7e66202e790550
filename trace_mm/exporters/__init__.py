"""Masks in the formats of labelling and training programs, image by image."""

from typing import TYPE_CHECKING

from trace_mm.lazy import lazy_exports

if TYPE_CHECKING:
    from trace_mm.exporters.base import PHOTOS, ExportedImage, MaskExporter
    from trace_mm.exporters.formats import (
        EXPORT_FORMATS,
        export_formats,
        exporter_of,
        open_exporter,
    )
    from trace_mm.exporters.outlines import joined, outline_rings

__all__ = [
    "EXPORT_FORMATS",
    "PHOTOS",
    "ExportedImage",
    "MaskExporter",
    "export_formats",
    "exporter_of",
    "joined",
    "open_exporter",
    "outline_rings",
]

__getattr__ = lazy_exports(__name__)
