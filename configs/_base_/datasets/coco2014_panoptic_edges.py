# COCO 2014 val with borders between panoptic segments (Table 6). The annotation file is made by
# tools/dataset_converters/coco2014_panoptic.py.
_base_ = ["./coco_instance_edges.py"]
data_root = "data/coco"
test_dataloader = dict(
    dataset=dict(
        annotation="coco_panoptic",
        data_root=data_root,
        ann_file="annotations/panoptic_val2014.json",
        data_prefix=dict(img_path="val2014", seg_path="annotations"),
    )
)
