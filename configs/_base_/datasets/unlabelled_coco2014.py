# COCO 2014. Of the annotations, only the list of images is read.
data_root = "data/coco"
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    collate_fn=dict(type="pseudo_collate"),
    sampler=dict(type="VisitSampler"),
    dataset=dict(
        type="UnlabelledImageDataset",
        source=dict(
            type="CocoImages",
            data_root=data_root,
            ann_file="annotations/instances_train2014.json",
            img_path="train2014",
        ),
        flip=0.5,
    ),
)
