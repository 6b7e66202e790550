_base_ = ["../_base_/datasets/coco_instance_edges.py", "../_base_/default_runtime.py"]

# Stable Diffusion 1.5
model = dict(
    type="TraceTeacher",
    backbone=dict(pretrained="stable-diffusion-v1-5/stable-diffusion-v1-5", dtype="bfloat16"),
)
