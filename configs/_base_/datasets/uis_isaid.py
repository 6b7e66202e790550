# iSAID val, the devkit's patches; docs/evaluation.md says how to write the annotation file.
_base_ = ["./uis.py"]
data_root = "data/isaid/val"
ann_file = "annotations/instances_val_agnostic.json"
test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        images=dict(data_root=data_root, ann_file=ann_file, data_prefix=dict(img_path="images")),
    )
)
test_evaluator = dict(
    data_root=data_root,
    ann_file=ann_file,
    classes=True,
)
