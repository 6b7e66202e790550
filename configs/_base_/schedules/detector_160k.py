# CutLER's schedule for batches of 16 images.
max_iters = 160000
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=5e-5),
    clip_grad=dict(max_norm=1.0, norm_type=2),
)
warm_up = min(1000, max_iters // 4 + 1)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=warm_up),
    dict(type="MultiStepLR", by_epoch=False, milestones=[max_iters // 2], gamma=0.02),
]
auto_scale_lr = dict(enable=False, base_batch_size=16)
