_base_ = ["../_base_/datasets/coco_instance_edges.py", "../_base_/default_runtime.py"]

# DINOv3; 64x64 patches
model = dict(
    type="VisionTeacher",
    backbone=dict(pretrained="timm:vit_7b_patch16_dinov3.lvd1689m", dtype="bfloat16"),
    size=1024,
)
