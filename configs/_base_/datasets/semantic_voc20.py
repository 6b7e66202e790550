# VOC 2012 val, 1,449 images: 20 classes; background does not count.
_base_ = ["./semantic.py"]
data_root = "data/VOCdevkit/VOC2012"
test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        protocol="voc20",
        ann_file="ImageSets/Segmentation/val.txt",
        data_prefix=dict(img_path="JPEGImages", seg_path="SegmentationClass", score_path="scores"),
    )
)
