# TNBC, slides of nuclei; docs/evaluation.md says how to write the annotation file.
_base_ = ["./uis.py"]
data_root = "data/tnbc/test"
ann_file = "annotations/instances_agnostic.json"
test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        images=dict(data_root=data_root, ann_file=ann_file, data_prefix=dict(img_path="")),
    )
)
test_evaluator = dict(
    data_root=data_root,
    ann_file=ann_file,
    image_pq=True,
)
