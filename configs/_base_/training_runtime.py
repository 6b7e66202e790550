# Runtime of iteration-based training. Checkpoints come after each tenth of the run, at the latest
# every 1000 iterations, and at its end.
default_scope = "trace_mm"
default_hooks = dict(
    runtime_info=dict(type="RuntimeInfoHook"),
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(
        type="WholeCheckpointHook",
        by_epoch=False,
        interval="auto",
        max_keep_ckpts=3,
        save_best="edges/ODS",
        rule="greater",
    ),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    visualization=dict(type="EdgeVisualizationHook", images=8),
)
custom_hooks = [dict(type="ReproducibleTrainingHook"), dict(type="UnreadableImagesHook")]
randomness = dict(seed=0)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
visualizer = dict(
    type="mmengine.Visualizer",
    vis_backends=[
        dict(type="mmengine.LocalVisBackend"),
        dict(type="mmengine.TensorboardVisBackend"),
    ],
)
log_processor = dict(
    by_epoch=False,
    num_digits=6,  # a reconstruction's error may be small
    mean_pattern=r".*(loss|labels|time|data_time|grad_norm).*",
)
log_level = "INFO"
load_from = None
resume = False
