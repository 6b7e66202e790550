# HRSID test, 1,962 radar images of ships; docs/evaluation.md says how to write the annotation file.
_base_ = ["./uis.py"]
data_root = "data/hrsid"
ann_file = "annotations/test2017_agnostic.json"
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
    classes=True,
)
