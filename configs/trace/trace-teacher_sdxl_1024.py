_base_ = ["../_base_/datasets/coco_instance_edges.py", "../_base_/default_runtime.py"]

# Stable Diffusion XL
model = dict(
    type="TraceTeacher",
    backbone=dict(pretrained="stabilityai/stable-diffusion-xl-base-1.0", dtype="bfloat16"),
)
