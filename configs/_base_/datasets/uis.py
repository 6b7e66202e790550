# What all benchmarks of masks share: images with the masks of a method, scored class-agnostically.
test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=False,
    collate_fn=dict(type="pseudo_collate"),
    sampler=dict(type="mmengine.DefaultSampler", shuffle=False),
    dataset=dict(
        type="SourceMaskDataset",
        images=dict(type="InstanceEdgeDataset", annotation="coco_instances"),
        masks=dict(path="masks.json", format="auto"),  # each config names its own
    ),
)
test_cfg = dict(type="mmengine.TestLoop")
test_evaluator = dict(type="ClassAgnosticInstanceMetric")
