# Class-agnostic detectors: trained on the masks of a folder of images, tested without more ado on
# any benchmark of masks.
#   images=DIR labels=FILE   what is learned: images, and a COCO file of their masks
#   test_set=NAME            which uis_NAME.py is scored, in data_root=DIR if that is not its own;
#                            "train" writes the masks of the training images to --out instead
from mmengine.config import Config

images = "data/imagenet/train"
labels = "data/imagenet/masks/maskcut-trace_imagenet.json"
test_set = "coco2017"

benchmark = Config.fromfile(
    "{{ fileDirname }}/uis_" + ("coco2017" if test_set == "train" else test_set) + ".py"
)
data_root = benchmark.data_root
tested = benchmark.test_dataloader.dataset.images
evaluator = dict(benchmark.test_evaluator.to_dict(), data_root=data_root)
evaluator["type"] = "trace_mm." + evaluator["type"]

short_sides = (240, 320, 480, 640, 672, 704, 736, 768, 800, 1024)  # as CutLER has them
train_dataset = dict(
    type="trace_mm.InstanceLabelDataset",
    ann_file=labels,
    data_prefix=dict(img=images),
    filter_cfg=dict(filter_empty_gt=True),
    pipeline=[
        dict(type="trace_mm.LoadImageFromFile"),
        dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
        dict(
            type="RandomChoiceResize",
            scales=[(1333, side) for side in short_sides],
            keep_ratio=True,
        ),
        dict(type="RandomFlip", prob=0.5),
    ],
)
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    batch_sampler=dict(type="AspectRatioBatchSampler"),
    dataset=dict(
        type="MultiImageMixDataset",
        dataset=train_dataset,
        pipeline=[
            dict(type="trace_mm.ObjectPaste", ratios=(0.3, 1.0)),
            dict(type="PackDetInputs"),
        ],
    ),
)

test_pipeline = [
    dict(type="trace_mm.LoadImageFromFile"),
    dict(type="Resize", scale=(1333, 800), keep_ratio=True),
    dict(
        type="PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
    ),
]
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="trace_mm.InstanceLabelDataset",
        data_root=data_root,
        ann_file=tested.ann_file,
        data_prefix=dict(img=tested.data_prefix.img_path),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_evaluator = evaluator
if test_set == "train":
    test_dataloader["dataset"].update(data_root="", ann_file=labels, data_prefix=dict(img=images))
    test_evaluator = dict(type="trace_mm.InstanceResultsFile", ann_file=labels)
test_cfg = dict(type="TestLoop")
del benchmark, tested, evaluator, Config
