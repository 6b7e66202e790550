# Validation during training: pictures of the first photos of a folder, without annotations. There
# are no scores, and so no best checkpoint.
val_root = "data/val_photos"
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=False,
    collate_fn=dict(type="pseudo_collate"),
    sampler=dict(type="mmengine.DefaultSampler", shuffle=False),
    dataset=dict(
        type="UnlabelledImageDataset",
        source=dict(type="ImageFolder", data_root=val_root, length=8),
    ),
)
val_evaluator = []
