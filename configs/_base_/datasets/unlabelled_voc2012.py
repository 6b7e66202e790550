# PASCAL VOC 2012. Use ImageSets/Segmentation/train_aug.txt for the 10,582 augmented images.
data_root = "data/VOCdevkit/VOC2012"
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    collate_fn=dict(type="pseudo_collate"),
    sampler=dict(type="VisitSampler"),
    dataset=dict(
        type="UnlabelledImageDataset",
        source=dict(
            type="VocImages", data_root=data_root, ann_file="ImageSets/Segmentation/train.txt"
        ),
        flip=0.5,
    ),
)
