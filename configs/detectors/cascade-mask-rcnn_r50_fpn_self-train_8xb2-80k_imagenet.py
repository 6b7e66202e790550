# A round of self-training of Cascade Mask R-CNN: load_from=CHECKPOINT of the one before,
# labels=FILE that tools/merge_masks.py has made of its masks; tools/self_train.py gives both.
_base_ = [
    "../_base_/detector_runtime.py",
    "../_base_/models/cascade-mask-rcnn_r50_fpn_droploss.py",
    "../_base_/datasets/detector_masks.py",
    "../_base_/schedules/detector_self-train_80k.py",
]
# As CutLER: no DropLoss, and pasted objects are larger.
heads = [dict(head, drop_threshold=None) for head in _base_.model.roi_head.bbox_head]
model = dict(roi_head=dict(bbox_head=heads))
del heads
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type="trace_mm.ObjectPaste", ratios=(0.5, 1.0)),
            dict(type="PackDetInputs"),
        ]
    )
)
