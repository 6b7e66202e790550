"""What was here is in :mod:`trace_mm.refinement`; ``trace_mm.refine`` is a function."""

raise ImportError(
    "the module trace_mm.refine is now trace_mm.refinement (from trace_mm.refinement import ...); "
    "trace_mm.refine is the function: from trace_mm import refine"
)
