# The shipped photo student: after the drawn scenes, collages of photos teach its decoder what is a
# border and what is texture, without labels.
_base_ = [
    "../_base_/models/trace-student_trace-tiny.py",
    "../_base_/datasets/unlabelled_folder.py",
    "../_base_/datasets/coco-photos_val.py",
    "../_base_/schedules/adam_20k.py",
    "../_base_/training_runtime.py",
]
model = dict(
    checkpoint="trace-tiny",
    size=384,  # for predictions
    max_enlargement=2,  # of small images: it would only cost time
    train_size=256,  # the collages' own
    edge_loss="cross_entropy",
    label_grid="token",  # the cells that borders run through
    doubt=0.05,  # of a photo's own edges, which are no borders of the collage
)
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(
        _delete_=True,
        type="CollageDataset",
        source=dict(type="ImageFolder", data_root=_base_.data_root),
        length=1600,
        size=256,
    ),
)
max_iters = 400
warm_up = min(40, max_iters // 4 + 1)
train_cfg = dict(max_iters=max_iters, val_interval=400)
optim_wrapper = dict(optimizer=dict(type="AdamW", lr=5e-4, weight_decay=1e-2))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.04, by_epoch=False, begin=0, end=warm_up),
    dict(
        type="CosineAnnealingLR",
        by_epoch=False,
        begin=warm_up,
        end=max(max_iters, warm_up + 1),
        eta_min_ratio=0.001,
    ),
]
auto_scale_lr = dict(base_batch_size=4)
default_hooks = dict(logger=dict(interval=10))
custom_hooks = [*_base_.custom_hooks, dict(type="DecoderFirstHook", iterations=max_iters)]
