# Adapts the shipped student to a folder of your own images, which need no labels.
_base_ = [
    "../_base_/models/trace-student_trace-tiny.py",
    "../_base_/datasets/unlabelled_folder.py",
    "../_base_/datasets/scene_edges_val.py",
    "../_base_/datasets/scene_edges.py",
    "../_base_/schedules/adam_20k.py",
    "../_base_/training_runtime.py",
]
model = dict(checkpoint="trace-tiny")
# The teacher's edges, which tools/cache_pseudo_edges.py or --fill-cache compute with this config.
train_dataloader = dict(
    batch_size=1,
    dataset=dict(
        size=256,
        pseudo_edges=dict(
            folder="data/pseudo_edges",
            teacher=dict(type="TraceTeacher", backbone=dict(pretrained=_base_.pretrained)),
        ),
    ),
)
val_dataloader = dict(dataset=dict(length=32))
# Short, since it starts from a trained student; a step is four images. LoRA and decoder together.
max_iters = 1000
warm_up = min(50, max_iters // 4 + 1)
train_cfg = dict(max_iters=max_iters, val_interval=500)
optim_wrapper = dict(optimizer=dict(lr=3e-4), accumulative_counts=4)
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
