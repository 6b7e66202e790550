# Images of your own: all in a folder and its subfolders.
data_root = "data/my_images"
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    collate_fn=dict(type="pseudo_collate"),
    sampler=dict(type="VisitSampler"),
    dataset=dict(
        type="UnlabelledImageDataset",
        source=dict(type="ImageFolder", data_root=data_root),
        flip=0.5,
    ),
)
