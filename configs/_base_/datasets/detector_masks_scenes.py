# Masks of drawn scenes for a detector whose frozen backbone reads each image once: nothing is
# resized, flipped or pasted. Names are as in detector_masks.py; scenes are scored, or with
# test_set="train" the masks of the training images are written.
images = "data/scenes/train/images"
labels = "data/scenes/masks/maskcut-trace.json"
test_set = "scenes"
data_root = "data/scenes/test"

train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type="trace_mm.InstanceLabelDataset",
        ann_file=labels,
        data_prefix=dict(img=images),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=[
            dict(type="trace_mm.LoadImageFromFile"),
            dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
            dict(type="PackDetInputs"),
        ],
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="trace_mm.InstanceLabelDataset",
        data_root=data_root,
        ann_file="instances.json",
        data_prefix=dict(img="images"),
        test_mode=True,
        pipeline=[
            dict(type="trace_mm.LoadImageFromFile"),
            dict(type="Resize", scale_factor=1.0),  # notes the factor, which heads ask for
            dict(
                type="PackDetInputs",
                meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
            ),
        ],
    ),
)
test_evaluator = dict(
    type="trace_mm.ClassAgnosticInstanceMetric", data_root=data_root, ann_file="instances.json"
)
if test_set == "train":
    test_dataloader["dataset"].update(data_root="", ann_file=labels, data_prefix=dict(img=images))
    test_evaluator = dict(type="trace_mm.InstanceResultsFile", ann_file=labels)
test_cfg = dict(type="TestLoop")
