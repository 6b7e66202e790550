_base_ = "./trace-teacher_trace-tiny_coco-photos.py"

model = dict(backbone=dict(pretrained="stabilityai/stable-diffusion-2-1", dtype="float16"))
