# COCO 2017 val, 5,000 images: 80 classes and background.
# python tools/dataset_converters/coco_object.py writes the maps.
_base_ = ["./semantic.py"]
data_root = "data/coco"
test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        protocol="coco-object",
        data_prefix=dict(img_path="val2017", seg_path="object_maps/val2017", score_path="scores"),
    )
)
