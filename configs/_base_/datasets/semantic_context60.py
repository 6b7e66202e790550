# Pascal Context val, 5,104 images: 59 classes and background. The maps are those of
# MMSegmentation's converter.
_base_ = ["./semantic.py"]
data_root = "data/VOCdevkit/VOC2010"
test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        protocol="context60",
        ann_file="ImageSets/SegmentationContext/val.txt",
        data_prefix=dict(
            img_path="JPEGImages", seg_path="SegmentationClassContext", score_path="scores"
        ),
    )
)
