_base_ = [
    "../_base_/models/trace-student_sd35-large.py",
    "../_base_/datasets/unlabelled_imagenet.py",
    "../_base_/datasets/coco-photos_val.py",
    "../_base_/schedules/adam_20k.py",
    "../_base_/training_runtime.py",
]
# As many images as one process reads in this schedule, chosen by their names. The teacher's edges,
# which tools/cache_pseudo_edges.py computes with this config, are those of the same images.
train_dataloader = dict(
    dataset=dict(
        limit=_base_.max_iters * _base_.train_dataloader.batch_size,
        size=1024,
        pseudo_edges=dict(
            folder="data/pseudo_edges",
            teacher=dict(type="TraceTeacher", backbone=_base_.model.backbone),
        ),
    )
)
