# ADE20K val, 2,000 images: 150 classes; the 0 of its maps does not count.
_base_ = ["./semantic.py"]
data_root = "data/ade/ADEChallengeData2016"
test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        protocol="ade150",
        data_prefix=dict(
            img_path="images/validation", seg_path="annotations/validation", score_path="scores"
        ),
    )
)
