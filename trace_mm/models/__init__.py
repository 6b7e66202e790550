"""Edge models: images in, edge maps out, all behind one interface."""

from typing import TYPE_CHECKING

from trace_mm.lazy import lazy_exports

if TYPE_CHECKING:
    from trace_mm.models.decoders import (
        ConvDecoder,
        GridFreeDecoder,
        Mask2FormerStyleDecoder,
        UNetDecoder,
    )
    from trace_mm.models.edge_ensemble import EdgeEnsemble
    from trace_mm.models.edge_folder import EdgeFolder
    from trace_mm.models.gradient_detectors import CannyDetector, SobelDetector
    from trace_mm.models.student import TraceStudent
    from trace_mm.models.student_weights import (
        build_student,
        load_student_weights,
        read_student,
        save_student,
    )
    from trace_mm.models.teacher import TraceTeacher
    from trace_mm.models.trained_student import build_trained_student
    from trace_mm.models.true_edges import TrueEdges
    from trace_mm.models.vision_teacher import VisionTeacher

__all__ = [
    "CannyDetector",
    "ConvDecoder",
    "EdgeEnsemble",
    "EdgeFolder",
    "GridFreeDecoder",
    "Mask2FormerStyleDecoder",
    "SobelDetector",
    "TraceStudent",
    "TraceTeacher",
    "TrueEdges",
    "UNetDecoder",
    "VisionTeacher",
    "build_student",
    "build_trained_student",
    "load_student_weights",
    "read_student",
    "save_student",
]

__getattr__ = lazy_exports(__name__)
