_base_ = ["../_base_/datasets/coco_instance_edges.py", "../_base_/default_runtime.py"]

# PixArt-Sigma
model = dict(
    type="TraceTeacher",
    backbone=dict(pretrained="PixArt-alpha/PixArt-Sigma-XL-2-1024-MS", dtype="bfloat16"),
)
