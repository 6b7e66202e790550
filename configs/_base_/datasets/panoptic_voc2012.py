# PASCAL VOC 2012 with 20 things and background. For training, trace-mm panoptic labels the 10,582
# images of train_aug, whose list tools/dataset_converters/voc2012_train_aug.py writes; labels of
# other images, such as those of val, do not count. voc2012_panoptic.py beside it writes the ground
# truth of val into panoptic_val.
_base_ = ["./panoptic_lsj.py"]
root = "data/VOCdevkit/VOC2012"
num_things, num_stuff = 20, 1
# fmt: off
metainfo = dict(
    thing_classes=(
        "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
        "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
        "train", "tvmonitor",
    ),
    stuff_classes=("background",),
)
# fmt: on
panoptic = dict(
    train=dict(
        data_root=root,
        metainfo=metainfo,
        data_prefix=dict(img="JPEGImages"),
        listed="ImageSets/Segmentation/train_aug.txt",
    ),
    test=dict(
        data_root=root,
        metainfo=metainfo,
        ann_file="panoptic_val/panoptic.json",
        data_prefix=dict(img="JPEGImages", seg="panoptic_val/panoptic"),
    ),
    evaluator=dict(
        data_root=root,
        ann_file="panoptic_val/panoptic.json",
        seg_prefix="panoptic_val/panoptic",
    ),
    model=dict(
        panoptic_head=dict(
            num_things_classes=num_things,
            num_stuff_classes=num_stuff,
            loss_cls=dict(class_weight=[1.0] * (num_things + num_stuff) + [0.1]),
        ),
        panoptic_fusion_head=dict(num_things_classes=num_things, num_stuff_classes=num_stuff),
    ),
)
