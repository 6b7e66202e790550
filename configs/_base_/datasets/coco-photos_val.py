# Validation during training, and the test: photos with a COCO instances file.
val_root = "data/coco_photos"
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=False,
    collate_fn=dict(type="pseudo_collate"),
    sampler=dict(type="mmengine.DefaultSampler", shuffle=False),
    dataset=dict(
        type="InstanceEdgeDataset",
        annotation="coco_instances",
        data_root=val_root,
        ann_file="instances.json",
        data_prefix=dict(img_path="images"),
        indices=100,  # the first hundred
    ),
)
val_evaluator = dict(type="InstanceEdgeMetric", tolerance=0.0075, progress=False)
test_dataloader = dict(val_dataloader, dataset={**val_dataloader["dataset"], "indices": None})
test_cfg = dict(type="mmengine.TestLoop")
test_evaluator = dict(type="InstanceEdgeMetric", tolerance=0.0075)
