"""Pictures of edges, scores and attention: pure functions from arrays to pixels and markup."""

from typing import TYPE_CHECKING

from trace_mm.lazy import lazy_exports

if TYPE_CHECKING:
    from trace_mm.visualization.attention_pca import attention_pca_colors
    from trace_mm.visualization.overlay import draw_overlay, thumbnail
    from trace_mm.visualization.refinement import draw_instances, draw_refinement
    from trace_mm.visualization.report import Figure, ReportEntry, render_report
    from trace_mm.visualization.score_curve import draw_score_curve

__all__ = [
    "Figure",
    "ReportEntry",
    "attention_pca_colors",
    "draw_instances",
    "draw_overlay",
    "draw_refinement",
    "draw_score_curve",
    "render_report",
    "thumbnail",
]

__getattr__ = lazy_exports(__name__)
