# A Mask2Former for drawn scenes that a processor core trains, on the frozen shipped diffusion
# model.
_base_ = [
    "mmdet::_base_/default_runtime.py",
    "../_base_/models/mask2former_trace-tiny.py",
    "../_base_/datasets/panoptic_scenes.py",
]
custom_imports = dict(imports=["trace_mm.mask2former"], allow_failed_imports=False)
max_iters = 2000
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=1000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
# One group of all parameters: mmengine makes one of each where settings differ by name, and on a
# CPU the optimizer then takes a sixth of an iteration.
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=2e-3, weight_decay=0.01, fused=True),
    clip_grad=dict(max_norm=1.0, norm_type=2),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=200),
    # Longer than the training, which ends at a quarter of the largest rate.
    dict(type="CosineAnnealingLR", by_epoch=False, begin=200, end=3000, eta_min_ratio=0.01),
]
auto_scale_lr = dict(enable=False, base_batch_size=8)
default_hooks = dict(
    checkpoint=dict(
        type="trace_mm.WholeCheckpointHook", by_epoch=False, interval="auto", max_keep_ckpts=2
    )
)
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
