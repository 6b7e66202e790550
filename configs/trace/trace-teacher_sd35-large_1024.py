_base_ = ["../_base_/datasets/coco_instance_edges.py", "../_base_/default_runtime.py"]

# Stable Diffusion 3.5 Large
model = dict(
    type="TraceTeacher",
    backbone=dict(pretrained="stabilityai/stable-diffusion-3.5-large", dtype="bfloat16"),
)
