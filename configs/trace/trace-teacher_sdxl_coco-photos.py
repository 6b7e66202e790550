_base_ = "./trace-teacher_trace-tiny_coco-photos.py"

model = dict(backbone=dict(pretrained="stabilityai/stable-diffusion-xl-base-1.0", dtype="float16"))
