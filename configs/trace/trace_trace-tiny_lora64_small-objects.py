# Adapts the shipped student to a folder of your own images whose objects are small: it is shown
# enlarged parts, and learns what the diffusion model's attention sees in them. No cache: the
# teacher is asked at each step. To be used with --object-size auto.
_base_ = ["./trace_trace-tiny_lora64_folder.py"]
model = dict(
    train_size=128,
    teacher=dict(
        type="TraceTeacher", backbone=dict(pretrained=_base_.pretrained), timestep=100, size=128
    ),
)
# Images become as large as squares of these sides, and the parts are of 128 pixels: an object of 20
# pixels in an image of 256 x 256 covers 8 to 20 of the 32 tokens.
train_dataloader = dict(
    dataset=dict(size=None, views=dict(crop=128, sides=(384, 1024)), pseudo_edges=None)
)
val_dataloader = dict(dataset=dict(length=4))
max_iters = 200
warm_up = min(50, max_iters // 4 + 1)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(accumulative_counts=2)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=warm_up),
    dict(
        type="CosineAnnealingLR",
        by_epoch=False,
        begin=warm_up,
        end=max(max_iters, warm_up + 1),
        eta_min_ratio=0.02,
    ),
]
