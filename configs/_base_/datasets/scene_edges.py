# Held-out procedural scenes, rendered on the fly: no files are needed.
test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=False,
    collate_fn=dict(type="pseudo_collate"),
    sampler=dict(type="mmengine.DefaultSampler", shuffle=False),
    dataset=dict(type="SceneEdgeDataset", seed=1, start=0, length=500, size=(128, 128)),
)
test_cfg = dict(type="mmengine.TestLoop")
test_evaluator = dict(type="InstanceEdgeMetric", tolerance=0.0075)
