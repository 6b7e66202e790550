"""Until nothing needs it: the pool under its earlier name."""

from trace_mm.runs.pool import Pool as WorkerPool

__all__ = ["WorkerPool"]
