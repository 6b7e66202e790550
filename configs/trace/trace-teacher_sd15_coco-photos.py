_base_ = "./trace-teacher_trace-tiny_coco-photos.py"

model = dict(
    backbone=dict(pretrained="stable-diffusion-v1-5/stable-diffusion-v1-5", dtype="float16")
)
