# Validation during training: procedural scenes that are neither trained on nor tested on.
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=False,
    collate_fn=dict(type="pseudo_collate"),
    sampler=dict(type="mmengine.DefaultSampler", shuffle=False),
    dataset=dict(type="SceneEdgeDataset", seed=1, start=1000, length=100, size=(128, 128)),
)
val_evaluator = dict(type="InstanceEdgeMetric", tolerance=0.0075, progress=False)
