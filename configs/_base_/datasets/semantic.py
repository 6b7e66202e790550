# What all benchmarks of semantic maps share: images with the scores of a method.
test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=False,
    collate_fn=dict(type="pseudo_collate"),
    sampler=dict(type="mmengine.DefaultSampler", shuffle=False),
    dataset=dict(type="ScoreMapDataset"),
)
test_cfg = dict(type="mmengine.TestLoop")
test_evaluator = dict(type="SemanticIoUMetric")
