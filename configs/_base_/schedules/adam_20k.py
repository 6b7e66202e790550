# Optimizer of the paper (App. C.1), which is silent about learning rate and length.
max_iters = 20000
warm_up = min(500, max_iters // 4 + 1)
train_cfg = dict(type="mmengine.IterBasedTrainLoop", max_iters=max_iters, val_interval=1000)
val_cfg = dict(type="mmengine.ValLoop")
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="Adam", lr=1e-4, weight_decay=4e-5),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=warm_up),
    dict(
        type="CosineAnnealingLR",
        by_epoch=False,
        begin=warm_up,
        end=max(max_iters, warm_up + 1),  # a run of one iteration has no time for it
    ),
]
auto_scale_lr = dict(enable=False, base_batch_size=8)
