# Optimizer of the paper (App. C.1), which is silent about learning rate and length.
train_cfg = dict(type="mmengine.IterBasedTrainLoop", max_iters=20000, val_interval=1000)
val_cfg = dict(type="mmengine.ValLoop")
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="Adam", lr=1e-4, weight_decay=4e-5),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=500),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=500, end=20000),
]
auto_scale_lr = dict(enable=False, base_batch_size=8)
