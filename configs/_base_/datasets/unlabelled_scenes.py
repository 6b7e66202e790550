# Procedural scenes, rendered on the fly: no files are needed.
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    collate_fn=dict(type="pseudo_collate"),
    sampler=dict(type="VisitSampler"),
    dataset=dict(
        type="UnlabelledImageDataset",
        source=dict(type="SceneImages", seed=0, length=4000, size=(128, 128)),
        flip=0.5,
    ),
)
