# A detector of drawn scenes, from nothing but a frozen backbone, on a processor core.
max_iters = 600
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters)
# One group of all parameters: mmengine makes one of each where settings differ by name, and on a
# CPU the optimizer then takes a sixth of an iteration.
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.01, fused=True),
    clip_grad=dict(max_norm=5.0, norm_type=2),
)
warm_up = min(100, max_iters // 4 + 1)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=warm_up),
    dict(
        type="CosineAnnealingLR",
        by_epoch=False,
        begin=warm_up,
        end=max(max_iters, warm_up + 1),  # a run of one iteration has no time for it
        eta_min_ratio=0.01,
    ),
]
auto_scale_lr = dict(enable=False, base_batch_size=8)
