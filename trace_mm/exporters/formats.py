"""Formats that masks are written in, by name."""

import os
from collections.abc import Mapping

from trace_mm.exporters.base import MaskExporter
from trace_mm.exporters.coco import CocoExporter
from trace_mm.exporters.cvat import CvatExporter
from trace_mm.exporters.id_png import IdPngExporter
from trace_mm.exporters.label_studio import LabelStudioExporter
from trace_mm.exporters.labelme import LabelMeExporter
from trace_mm.exporters.voc import VocExporter
from trace_mm.exporters.yolo import YoloExporter
from trace_mm.plugins import Plugins
from trace_mm.registry import MASK_EXPORTERS

EXPORT_FORMATS: dict[str, type[MaskExporter]] = {
    "coco": CocoExporter,
    "yolo": YoloExporter,
    "labelme": LabelMeExporter,
    "cvat": CvatExporter,
    "voc": VocExporter,
    "labelstudio": LabelStudioExporter,
    "png": IdPngExporter,
}
"""Our exporters by the name that users write."""

_PLUGINS: Plugins[MaskExporter] = Plugins(
    EXPORT_FORMATS, MASK_EXPORTERS, "trace_mm.mask_exporters", MaskExporter, "mask exporter"
)
"""These, and those of other packages."""


def export_formats() -> list[str]:
    """Names of all formats: ours, and those of other packages, which are not imported."""
    return _PLUGINS.names()


def exporter_of(format: str) -> type[MaskExporter]:
    """The class of a format; its package is imported if need be.

    Raises:
        ValueError: if there is no such format, or its package cannot be imported.
    """
    if format not in export_formats():
        raise ValueError(f"format must be one of {', '.join(export_formats())}, got {format!r}")
    return _PLUGINS.get(format)


def open_exporter(
    format: str,
    out: str | os.PathLike[str],
    categories: Mapping[int, str] | None = None,
    *,
    photos: str = "copy",
    overwrite: bool = False,
) -> MaskExporter:
    """Open a folder to write masks in a format; see ``MaskExporter``.

    Args:
        format: one of ``export_formats()``.
        out: folder to write.
        categories: names of classes by the ids that masks have as labels, as far as known.
        photos: "copy", "link" or "none", for formats that want photos beside the masks.
        overwrite: replace an earlier export.

    Raises:
        ValueError: if the format or an option is wrong, or something else is in the folder.
        OSError: if it cannot be written.
    """
    return exporter_of(format)(out, categories, photos=photos, overwrite=overwrite)
