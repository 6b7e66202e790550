# ImageNet: any tree of folders. Labels are not used.
data_root = "data/imagenet/train"
train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    collate_fn=dict(type="pseudo_collate"),
    sampler=dict(type="VisitSampler"),
    dataset=dict(
        type="UnlabelledImageDataset",
        source=dict(type="ImageFolder", data_root=data_root),
        flip=0.5,
    ),
)
