_base_ = ["../_base_/datasets/coco_instance_edges.py", "../_base_/default_runtime.py"]

# Qwen2.5-VL 72B, the attention among image tokens in its language model; 32x32 tokens
model = dict(
    type="VisionTeacher",
    backbone=dict(pretrained="Qwen/Qwen2.5-VL-72B-Instruct", dtype="bfloat16", part="language"),
    size=896,
)
