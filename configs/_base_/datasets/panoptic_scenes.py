# Procedural scenes as tools/dataset_converters/scenes.py exports them, into the folders train, val
# and test of data_root. Other labels of the training images are given by
# train_dataloader.dataset.labels=DIR, a folder that trace-mm panoptic wrote.
data_root = "data/scenes"
image_size = (128, 128)
# The eight shapes are one class: a thousand scenes do not teach them, but what an instance is.
things_as = "object"
metainfo = dict(thing_classes=(things_as,), stuff_classes=("background",))
# Images stay as they are, so that what a frozen backbone makes of them is computed once.
train_pipeline = [
    dict(type="trace_mm.LoadImageFromFile"),
    dict(type="trace_mm.LoadPanopticAnnotations"),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="trace_mm.LoadImageFromFile"),
    dict(
        type="PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
    ),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type="trace_mm.PanopticLabelDataset",
        metainfo=metainfo,
        things_as=things_as,
        data_root=data_root,
        ann_file="train/panoptic.json",
        data_prefix=dict(img="train/images", seg="train/panoptic"),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="trace_mm.PanopticLabelDataset",
        metainfo=metainfo,
        things_as=things_as,
        data_root=data_root,
        ann_file="val/panoptic.json",
        data_prefix=dict(img="val/images", seg="val/panoptic"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="trace_mm.PanopticLabelDataset",
        metainfo=metainfo,
        things_as=things_as,
        data_root=data_root,
        ann_file="test/panoptic.json",
        data_prefix=dict(img="test/images", seg="test/panoptic"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(
    type="trace_mm.PanopticQualityMetric",
    things_as=things_as,
    data_root=data_root,
    ann_file="val/panoptic.json",
    seg_prefix="val/panoptic",
)
test_evaluator = dict(
    type="trace_mm.PanopticQualityMetric",
    things_as=things_as,
    data_root=data_root,
    ann_file="test/panoptic.json",
    seg_prefix="test/panoptic",
    by_category=True,
)
