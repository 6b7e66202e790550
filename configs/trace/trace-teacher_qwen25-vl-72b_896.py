_base_ = ["../_base_/datasets/coco_instance_edges.py", "../_base_/default_runtime.py"]

# Qwen2.5-VL 72B, its vision tower; 64x64 patches
model = dict(
    type="VisionTeacher",
    backbone=dict(pretrained="Qwen/Qwen2.5-VL-72B-Instruct", dtype="bfloat16"),
    size=896,
)
