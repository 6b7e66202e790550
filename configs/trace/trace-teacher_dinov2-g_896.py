_base_ = ["../_base_/datasets/coco_instance_edges.py", "../_base_/default_runtime.py"]

# DINOv2-G; 64x64 patches
model = dict(
    type="VisionTeacher",
    backbone=dict(pretrained="timm:vit_giant_patch14_dinov2.lvd142m", dtype="bfloat16"),
    size=896,
)
