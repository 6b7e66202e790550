"""Registries of scope ``trace_mm``, children of mmengine's.

A config of another project reaches our modules as ``type='trace_mm.TraceTeacher'``; ours reach
mmengine's and mmdet's the same way. A registry imports the modules that fill it on first use, so
that ``import trace_mm`` stays fast.
"""

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import INFERENCERS as MMENGINE_INFERENCERS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import Registry

MODELS = Registry("model", parent=MMENGINE_MODELS, scope="trace_mm", locations=["trace_mm.models"])
DATASETS = Registry(
    "dataset", parent=MMENGINE_DATASETS, scope="trace_mm", locations=["trace_mm.datasets"]
)
METRICS = Registry(
    "metric", parent=MMENGINE_METRICS, scope="trace_mm", locations=["trace_mm.evaluation"]
)
INFERENCERS = Registry(
    "inferencer", parent=MMENGINE_INFERENCERS, scope="trace_mm", locations=["trace_mm.apis"]
)
