# Cityscapes val, 500 images: 19 classes, of _labelIds.png or _labelTrainIds.png.
_base_ = ["./semantic.py"]
data_root = "data/cityscapes"
test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        protocol="cityscapes19",
        data_prefix=dict(img_path="leftImg8bit/val", seg_path="gtFine/val", score_path="scores"),
    )
)
