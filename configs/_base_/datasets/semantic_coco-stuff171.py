# COCO-Stuff, 5,000 images of val2017: 171 classes. Its own files, or MMSegmentation's
# _labelTrainIds.png.
_base_ = ["./semantic.py"]
data_root = "data/coco"
test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        protocol="coco-stuff171",
        data_prefix=dict(
            img_path="val2017", seg_path="stuffthingmaps/val2017", score_path="scores"
        ),
    )
)
