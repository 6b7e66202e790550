# COCO 2017 val, 5K images; docs/evaluation.md says how to write the annotation file.
_base_ = ["./uis.py"]
data_root = "data/coco"
ann_file = "annotations/instances_val2017_agnostic.json"
test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        images=dict(data_root=data_root, ann_file=ann_file, data_prefix=dict(img_path="val2017")),
    )
)
test_evaluator = dict(
    data_root=data_root,
    ann_file=ann_file,
)
