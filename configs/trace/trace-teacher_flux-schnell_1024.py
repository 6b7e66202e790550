_base_ = ["../_base_/datasets/coco_instance_edges.py", "../_base_/default_runtime.py"]

# FLUX.1 [schnell]
model = dict(
    type="TraceTeacher",
    backbone=dict(pretrained="black-forest-labs/FLUX.1-schnell", dtype="bfloat16"),
)
