# The detector of CutLER + TRACE on masks of ImageNet (paper, Table 1b).
_base_ = [
    "../_base_/detector_runtime.py",
    "../_base_/models/cascade-mask-rcnn_r50_fpn_droploss.py",
    "../_base_/datasets/detector_masks.py",
    "../_base_/schedules/detector_160k.py",
]
