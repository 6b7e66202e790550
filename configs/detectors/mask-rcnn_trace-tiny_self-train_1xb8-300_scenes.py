# A round of self-training on drawn scenes: load_from=CHECKPOINT of the one before, labels=FILE that
# tools/merge_masks.py has made of its masks; tools/self_train.py gives both.
_base_ = ["./mask-rcnn_trace-tiny_droploss_1xb8-600_scenes.py"]
model = dict(roi_head=dict(bbox_head=dict(drop_threshold=None)))
max_iters = 300
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
warm_up = min(50, max_iters // 4 + 1)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=warm_up),
    dict(
        type="CosineAnnealingLR",
        by_epoch=False,
        begin=warm_up,
        end=max(max_iters, warm_up + 1),
        eta_min_ratio=0.01,
    ),
]
