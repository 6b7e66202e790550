_base_ = ["../_base_/datasets/coco_instance_edges.py", "../_base_/default_runtime.py"]

# Stable Diffusion 3.5 Medium
model = dict(
    type="TraceTeacher",
    backbone=dict(pretrained="stabilityai/stable-diffusion-3.5-medium", dtype="bfloat16"),
)
