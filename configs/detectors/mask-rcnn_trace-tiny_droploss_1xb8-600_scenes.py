# A small Mask R-CNN on masks of drawn scenes, on the frozen shipped diffusion model.
_base_ = [
    "../_base_/detector_runtime.py",
    "../_base_/models/mask-rcnn_trace-tiny.py",
    "../_base_/datasets/detector_masks_scenes.py",
    "../_base_/schedules/detector_scenes.py",
]
