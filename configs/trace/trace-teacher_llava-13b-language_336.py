_base_ = ["../_base_/datasets/coco_instance_edges.py", "../_base_/default_runtime.py"]

# LLaVA 1.5 13B, the attention among image tokens in its language model; 24x24 tokens
model = dict(
    type="VisionTeacher",
    backbone=dict(pretrained="llava-hf/llava-1.5-13b-hf", dtype="bfloat16", part="language"),
    size=336,
)
