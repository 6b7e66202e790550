# Objects365 v2 val, 80K images; docs/evaluation.md says how to write the annotation file.
_base_ = ["./uis.py"]
data_root = "data/objects365/val"
ann_file = "annotations/boxes_val_agnostic.json"
test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        images=dict(data_root=data_root, ann_file=ann_file, data_prefix=dict(img_path="")),
    )
)
test_evaluator = dict(
    data_root=data_root,
    ann_file=ann_file,
    iou_type="bbox",  # it has no masks
)
