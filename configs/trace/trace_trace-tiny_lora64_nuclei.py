# An example of a domain of one's own: 48 microscopy images, whose masks are for the test only.
_base_ = ["./trace_trace-tiny_lora64_folder.py"]
data_root = "data/nuclei"
train_dataloader = dict(dataset=dict(source=dict(data_root=data_root, pattern="*/images/*")))
val_dataloader = dict(dataset=dict(length=4))
max_iters = 200
warm_up = min(50, max_iters // 4 + 1)
train_cfg = dict(max_iters=max_iters, val_interval=200)
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
