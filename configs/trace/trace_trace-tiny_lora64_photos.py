# The shipped photo student: after the drawn scenes, photos teach it, without labels.
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
    train_size=256,  # the crops' own
    edge_loss="cross_entropy",
)
# The labels: the scenes' student, which closes outlines but is too sure of every texture, and the
# attention, which is less sure. Their mean is better than either (docs/results.md).
train_dataloader = dict(
    batch_size=1,
    dataset=dict(
        views=dict(crop=256, sides=(320, 512)),
        pseudo_edges=dict(
            folder="data/pseudo_edges",
            teacher=dict(
                type="EdgeEnsemble",
                members=[
                    dict(
                        model=dict(type="TrainedStudent", student="trace-tiny", size=384),
                        temper=1 / 3,
                    ),
                    dict(
                        model=dict(
                            type="TraceTeacher",
                            backbone=dict(pretrained=_base_.pretrained),
                            timestep=100,
                            size=384,
                            region_cell=10,
                            walk_steps=2,
                        ),
                        gamma=0.5,
                    ),
                ],
            ),
        ),
    ),
)
max_iters, decoder_iters = 1400, 400
warm_up = min(100, max_iters // 4 + 1)
train_cfg = dict(max_iters=max_iters, val_interval=700)
optim_wrapper = dict(optimizer=dict(lr=5e-4), accumulative_counts=4)
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
