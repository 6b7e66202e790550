_base_ = ["../_base_/datasets/coco_instance_edges.py", "../_base_/default_runtime.py"]

# EVA02-E; 64x64 patches
model = dict(
    type="VisionTeacher",
    backbone=dict(pretrained="timm:eva02_enormous_patch14_clip_224.laion2b_plus", dtype="bfloat16"),
    size=896,
)
