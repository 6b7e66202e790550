"""Registries of scope ``trace_mm``, children of mmengine's.

A config of another project reaches our modules as ``type='trace_mm.TraceTeacher'``; ours reach
mmengine's and mmdet's the same way. A registry imports the modules that fill it on first use, so
that ``import trace_mm`` stays fast.
"""

from importlib import import_module
from typing import Any

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import INFERENCERS as MMENGINE_INFERENCERS
from mmengine.registry import (
    LOOPS,
    OPTIM_WRAPPER_CONSTRUCTORS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    VISBACKENDS,
    VISUALIZERS,
    Registry,
    build_from_cfg,
)
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODEL_WRAPPERS as MMENGINE_MODEL_WRAPPERS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import STRATEGIES as MMENGINE_STRATEGIES
from mmengine.registry import TASK_UTILS as MMENGINE_TASK_UTILS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS

from trace_mm.lazy import export_homes


class PackageRegistry(Registry):
    """Imports of a package that exports lazily only the module of the name that is asked for.

    Other names are looked for as MMEngine does it, in all locations and parents.

    Args:
        package: such as ``"trace_mm.models"``.
        name: as for MMEngine's, and the others likewise.
        options: of MMEngine's.
    """

    def __init__(self, package: str, name: str, **options: Any) -> None:
        super().__init__(name, scope="trace_mm", **options)
        self._package = package

    def get(self, key: str) -> Any:
        """What is registered under a name; None if there is nothing."""
        name = key.removeprefix("trace_mm.")
        home = export_homes(self._package).get(name)
        if home is not None and name not in self.module_dict:
            import_module(home)
        return self.module_dict.get(name) or super().get(key)


MODELS = PackageRegistry(
    "trace_mm.models",
    "model",
    build_func=build_from_cfg,  # the parent's imports mmengine.model, for lists of models
    parent=MMENGINE_MODELS,
    locations=[  # the package imports nothing by itself, so that models are described quickly
        "trace_mm.models.decoders",
        "trace_mm.models.edge_ensemble",
        "trace_mm.models.edge_folder",
        "trace_mm.models.edges_from",
        "trace_mm.models.gradient_detectors",
        "trace_mm.models.student",
        "trace_mm.models.teacher",
        "trace_mm.models.trained_student",
        "trace_mm.models.true_edges",
        "trace_mm.models.vision_teacher",
        "trace_mm.refinement.mask_refiner",
        "trace_mm.refinement.score_refiner",
    ],
)
DATASETS = PackageRegistry(
    "trace_mm.datasets",
    "dataset",
    parent=MMENGINE_DATASETS,
    locations=[
        "trace_mm.datasets.collage_dataset",
        "trace_mm.datasets.edge_dataset",
        "trace_mm.datasets.image_shards",
        "trace_mm.datasets.image_sources",
        "trace_mm.datasets.scene_edge_dataset",
        "trace_mm.datasets.score_map_dataset",
        "trace_mm.datasets.source_mask_dataset",
        "trace_mm.datasets.unlabelled_dataset",
    ],
)
DATA_SAMPLERS = Registry(
    "data sampler",
    parent=MMENGINE_DATA_SAMPLERS,
    scope="trace_mm",
    locations=["trace_mm.datasets.visits"],
)
METRICS = Registry(
    "metric", parent=MMENGINE_METRICS, scope="trace_mm", locations=["trace_mm.evaluation"]
)
# The package imports nothing by itself, so that configs can be read without all that trains.
HOOKS = Registry(
    "hook",
    parent=MMENGINE_HOOKS,
    scope="trace_mm",
    locations=[
        "trace_mm.engine.decoder_first_hook",
        "trace_mm.engine.edge_folder_hook",
        "trace_mm.engine.edge_visualization_hook",
        "trace_mm.engine.instance_visualization_hook",
        "trace_mm.engine.panoptic_visualization_hook",
        "trace_mm.engine.reproducible_training_hook",
        "trace_mm.engine.unreadable_images_hook",
        "trace_mm.engine.whole_checkpoint_hook",
    ],
)
OPTIM_WRAPPERS = Registry(
    "optim_wrapper",
    parent=MMENGINE_OPTIM_WRAPPERS,
    scope="trace_mm",
    locations=["trace_mm.engine.autocast_optim_wrapper"],
)
MODEL_WRAPPERS = Registry(
    "model_wrapper",
    parent=MMENGINE_MODEL_WRAPPERS,
    scope="trace_mm",
    locations=["trace_mm.engine.predicting_model"],
)
# A module of its own, which few runs need: it imports the models.
STRATEGIES = Registry(
    "strategy",
    parent=MMENGINE_STRATEGIES,
    scope="trace_mm",
    locations=["trace_mm.engine.student_fsdp_strategy"],
)
# Filled by trace_mm.mask2former and detectors, which configs import, since they need mmdet.
TRANSFORMS = Registry("transform", parent=MMENGINE_TRANSFORMS, scope="trace_mm")
# What finds segments, what refines masks, and what makes panoptic labels.
TASK_UTILS = Registry(
    "task util",
    parent=MMENGINE_TASK_UTILS,
    scope="trace_mm",
    locations=[
        "trace_mm.refinement.boundary_guided_propagation",
        "trace_mm.refinement.score_propagation",
        "trace_mm.segments.edge_segments",
        "trace_mm.panoptic",
    ],
)
# By the name of the format, as ``--format`` takes it; see trace_mm/plugins.py.
MASK_READERS = Registry("mask reader", scope="trace_mm", locations=["trace_mm.refinement.readers"])
MASK_EXPORTERS = Registry(
    "mask exporter", scope="trace_mm", locations=["trace_mm.exporters.formats"]
)
INFERENCERS = Registry(
    "inferencer",
    parent=MMENGINE_INFERENCERS,
    scope="trace_mm",
    locations=["trace_mm.apis.inferencer"],
)

# Nothing of ours is in these. But a config of this scope looks for a child first, and mmengine
# warns where there is none.
_EMPTY = [
    Registry(parent.name, parent=parent, scope="trace_mm")
    for parent in (
        LOOPS,
        OPTIMIZERS,
        OPTIM_WRAPPER_CONSTRUCTORS,
        PARAM_SCHEDULERS,
        VISBACKENDS,
        VISUALIZERS,
    )
]
