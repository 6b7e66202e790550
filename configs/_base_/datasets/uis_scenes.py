# Procedural scenes: python tools/dataset_converters/scenes.py --out data/scenes
_base_ = ["./uis.py"]
data_root = "data/scenes"
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
