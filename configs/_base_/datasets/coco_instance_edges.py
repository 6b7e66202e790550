# Photos with a COCO instances file: borders between instances, and with the background.
data_root = "data/coco_photos"

test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=False,
    collate_fn=dict(type="pseudo_collate"),
    sampler=dict(type="mmengine.DefaultSampler", shuffle=False),
    dataset=dict(
        type="InstanceEdgeDataset",
        annotation="coco_instances",
        data_root=data_root,
        ann_file="instances.json",
        data_prefix=dict(img_path="images"),
    ),
)
test_cfg = dict(type="mmengine.TestLoop")
test_evaluator = dict(type="InstanceEdgeMetric", tolerance=0.0075)
