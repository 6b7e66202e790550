_base_ = ["../_base_/datasets/coco_instance_edges.py", "../_base_/default_runtime.py"]

# LLaVA 1.5 13B, its CLIP tower; 64x64 patches
model = dict(
    type="VisionTeacher",
    backbone=dict(pretrained="llava-hf/llava-1.5-13b-hf", dtype="bfloat16"),
    size=896,
)
