_base_ = [
    "../_base_/models/trace-student_trace-tiny.py",
    "../_base_/datasets/unlabelled_scenes.py",
    "../_base_/datasets/scene_edges_val.py",
    "../_base_/datasets/scene_edges.py",
    "../_base_/schedules/adam_20k.py",
    "../_base_/training_runtime.py",
]
# The teacher's edges, which tools/cache_pseudo_edges.py computes with this config. They are made
# once, so that they may cost more than the shipped teacher's: shown larger, it places edges better.
# On scenes the search for a timestep finds none that is better than this one.
train_dataloader = dict(
    batch_size=1,
    dataset=dict(
        source=dict(length=800),
        size=128,
        pseudo_edges=dict(
            folder="data/pseudo_edges",
            teacher=dict(
                type="TraceTeacher",
                backbone=dict(pretrained=_base_.pretrained),
                timestep=100,
                size=384,
                region_cell=10,
                walk_steps=2,
            ),
        ),
    ),
)
val_dataloader = dict(dataset=dict(length=32))
# Short, for a CPU, which is fastest with one image at a time: four of them make a step. First the
# decoder alone, then LoRA with it.
max_iters, decoder_iters = 2600, 1400
warm_up = min(100, max_iters // 4 + 1)
train_cfg = dict(max_iters=max_iters, val_interval=520)
optim_wrapper = dict(optimizer=dict(lr=1.5e-3), accumulative_counts=4)
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
auto_scale_lr = dict(base_batch_size=1)
default_hooks = dict(logger=dict(interval=20))
custom_hooks = [*_base_.custom_hooks, dict(type="DecoderFirstHook", iterations=decoder_iters)]
