# Panoptic FPN of MMDetection on labels of trace-mm panoptic: trace_mm used from outside, by names
# in a config alone.
_base_ = ["mmdet::panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py"]
custom_imports = dict(imports=["trace_mm.mask2former"], allow_failed_imports=False)

# Yours to set: images and ground truth below data_root, classes, and further down the folder that
# trace-mm panoptic wrote.
data_root = "data/mine"
metainfo = dict(thing_classes=("cat", "dog"), stuff_classes=("background",))
num_things, num_stuff = 2, 1

dataset = dict(type="trace_mm.PanopticLabelDataset", data_root=data_root, metainfo=metainfo)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        **dataset,
        labels="data/labels",
        data_prefix=dict(img="train"),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="trace_mm.LoadPanopticAnnotations"),
            dict(type="Resize", scale=(1333, 800), keep_ratio=True),
            dict(type="RandomFlip", prob=0.5),
            dict(type="PackDetInputs"),
        ],
    )
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        **dataset,
        ann_file="val/panoptic.json",
        data_prefix=dict(img="val/images", seg="val/panoptic"),
        test_mode=True,
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="Resize", scale=(1333, 800), keep_ratio=True),
            dict(
                type="PackDetInputs",
                meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
            ),
        ],
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(
    _delete_=True,
    type="trace_mm.PanopticQualityMetric",
    data_root=data_root,
    ann_file="val/panoptic.json",
    seg_prefix="val/panoptic",
)
test_evaluator = val_evaluator

model = dict(
    roi_head=dict(bbox_head=dict(num_classes=num_things), mask_head=dict(num_classes=num_things)),
    semantic_head=dict(num_things_classes=num_things, num_stuff_classes=num_stuff),
    panoptic_fusion_head=dict(num_things_classes=num_things, num_stuff_classes=num_stuff),
)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=3))  # of the 12 that its epochs would leave
