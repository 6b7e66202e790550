# COCO 2017 with 80 things and 53 stuff classes, which the dataset and mmdet's models have by
# default. For training, trace-mm panoptic labels the images of train2017.
_base_ = ["./panoptic_lsj.py"]
root = "data/coco"
panoptic = dict(
    train=dict(data_root=root, data_prefix=dict(img="train2017")),
    test=dict(
        data_root=root,
        ann_file="annotations/panoptic_val2017.json",
        data_prefix=dict(img="val2017", seg="annotations/panoptic_val2017"),
    ),
    evaluator=dict(
        data_root=root,
        ann_file="annotations/panoptic_val2017.json",
        seg_prefix="annotations/panoptic_val2017",
    ),
)
