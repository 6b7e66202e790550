# Photos with a COCO instances file.
_base_ = ["./uis.py"]
data_root = "data/coco_photos"
ann_file = "instances.json"
test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        images=dict(data_root=data_root, ann_file=ann_file, data_prefix=dict(img_path="images")),
    )
)
test_evaluator = dict(
    data_root=data_root,
    ann_file=ann_file,
)
