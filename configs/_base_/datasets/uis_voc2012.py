# VOC 2012 val, 1,449 images; docs/evaluation.md says how to write the annotation file.
_base_ = ["./uis.py"]
data_root = "data/VOCdevkit/VOC2012"
ann_file = "annotations/instances_val_agnostic.json"
test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        images=dict(
            data_root=data_root, ann_file=ann_file, data_prefix=dict(img_path="JPEGImages")
        ),
    )
)
test_evaluator = dict(
    data_root=data_root,
    ann_file=ann_file,
    protocol="coco",
    touch_distance=6,  # a void band of about 5 pixels lies between neighbours
)
