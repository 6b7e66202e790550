"""Images in, results out."""

from typing import TYPE_CHECKING

from trace_mm.apis.moved import refuse_moved_modules
from trace_mm.lazy import lazy_exports

if TYPE_CHECKING:
    from trace_mm.apis.control_maps import TraceDetector
    from trace_mm.apis.folder_run import FolderRunSummary, run_folder
    from trace_mm.apis.functions import edges, refine, segment
    from trace_mm.apis.image_sources import ImageSource
    from trace_mm.apis.inferencer import TraceInferencer
    from trace_mm.apis.inputs import expand_inputs
    from trace_mm.apis.photo_segments import PhotoSegments
    from trace_mm.apis.pseudo_panoptic import PanopticSummary, make_pseudo_panoptic
    from trace_mm.files import load_image

__all__ = [
    "FolderRunSummary",
    "ImageSource",
    "PanopticSummary",
    "PhotoSegments",
    "TraceDetector",
    "TraceInferencer",
    "edges",
    "expand_inputs",
    "load_image",
    "make_pseudo_panoptic",
    "refine",
    "run_folder",
    "segment",
]

refuse_moved_modules()

__getattr__ = lazy_exports(__name__)
