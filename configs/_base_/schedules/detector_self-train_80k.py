# CutLER's schedule of a round of self-training, for batches of 16 images.
_base_ = ["./detector_160k.py"]
max_iters = 80000
warm_up = min(1000, max_iters // 4 + 1)
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(optimizer=dict(lr=0.005))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=warm_up),
]
