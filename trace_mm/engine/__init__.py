"""What MMEngine's runner needs: its config, hooks, checkpoint files, mixed precision."""

from typing import TYPE_CHECKING

from trace_mm.lazy import lazy_exports

if TYPE_CHECKING:
    from trace_mm.engine.autocast_optim_wrapper import AutocastOptimWrapper
    from trace_mm.engine.brief_console import brief_console
    from trace_mm.engine.decoder_first_hook import DecoderFirstHook
    from trace_mm.engine.edge_folder_hook import EdgeFolderHook
    from trace_mm.engine.edge_visualization_hook import EdgeVisualizationHook
    from trace_mm.engine.instance_visualization_hook import InstanceVisualizationHook
    from trace_mm.engine.panoptic_visualization_hook import PanopticVisualizationHook
    from trace_mm.engine.predicting_model import PredictingModel
    from trace_mm.engine.reproducible_training_hook import ReproducibleTrainingHook
    from trace_mm.engine.unreadable_images_hook import UnreadableImagesHook
    from trace_mm.engine.whole_checkpoint_hook import WholeCheckpointHook, latest_checkpoint

__all__ = [
    "AutocastOptimWrapper",
    "DecoderFirstHook",
    "EdgeFolderHook",
    "EdgeVisualizationHook",
    "InstanceVisualizationHook",
    "PanopticVisualizationHook",
    "PredictingModel",
    "ReproducibleTrainingHook",
    "UnreadableImagesHook",
    "WholeCheckpointHook",
    "brief_console",
    "latest_checkpoint",
]

__getattr__ = lazy_exports(__name__)
