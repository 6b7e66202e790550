"""Data and weights that experiments need: where from, how large, and in which layout."""

from reproduction.experiment import Need

_VOC = "VOCdevkit/VOC2012"
_AGNOSTIC = "python tools/dataset_converters/coco.py --annotations {0} --out {1}"


def _coco(year: str) -> Need:
    truth = f"data/coco/annotations/instances_val{year}"
    return Need(
        f"COCO {year} val",
        "coco",
        (f"val{year}", f"annotations/instances_val{year}_agnostic.json"),
        "6.5 GB" if year == "2014" else "1 GB",
        "cocodataset.org",
        _AGNOSTIC.format(f"{truth}.json", f"{truth}_agnostic.json"),
    )


COCO_2014, COCO_2017 = _coco("2014"), _coco("2017")
VOC_2012 = Need(
    "PASCAL VOC 2012",
    _VOC,
    ("JPEGImages", "SegmentationObject", "annotations/instances_val_agnostic.json"),
    "2 GB",
    "host.robots.ox.ac.uk/pascal/VOC/voc2012",
    f"python tools/dataset_converters/voc2012.py --data-root data/{_VOC} --split val "
    f"--out data/{_VOC}/annotations/instances_val_agnostic.json",
)
LVIS = Need(
    "LVIS v1 val",
    "coco",
    ("train2017", "val2017", "annotations/lvis_v1_val_agnostic.json"),
    "20 GB with the images of COCO 2017",
    "lvisdataset.org",
    "python tools/dataset_converters/lvis.py --annotations data/coco/annotations/lvis_v1_val.json "
    "--out data/coco/annotations/lvis_v1_val_agnostic.json",
)
KITTI = Need(
    "KITTI object detection",
    "kitti/training",
    ("image_2", "annotations/boxes_agnostic.json"),
    "12 GB",
    "cvlibs.net/datasets/kitti",
    "python tools/dataset_converters/kitti.py --data-root data/kitti/training "
    "--out data/kitti/training/annotations/boxes_agnostic.json",
)
OBJECTS365 = Need(
    "Objects365 v2 val",
    "objects365/val",
    ("annotations/boxes_val_agnostic.json",),
    "60 GB",
    "objects365.org",
    "python tools/dataset_converters/objects365.py --annotations "
    "data/objects365/val/zhiyuan_objv2_val.json "
    "--out data/objects365/val/annotations/boxes_val_agnostic.json",
)
SA_1B = Need(
    "an archive of SA-1B",
    "sa1b",
    ("annotations/instances_agnostic.json",),
    "11 GB",
    "ai.meta.com/datasets/segment-anything",
    "python tools/dataset_converters/sa1b.py --data-root data/sa1b "
    "--out data/sa1b/annotations/instances_agnostic.json",
)
PANOPTIC_2014 = Need(
    "COCO 2014 val with panoptic maps",
    "coco",
    ("val2014", "annotations/panoptic_val2014.json", "annotations/panoptic_train2017"),
    "8 GB",
    "cocodataset.org (2014 val images; panoptic annotations of 2017)",
    "python tools/dataset_converters/coco2014_panoptic.py --images "
    "data/coco/annotations/instances_val2014.json --annotations "
    "data/coco/annotations/panoptic_train2017.json data/coco/annotations/panoptic_val2017.json "
    "--out data/coco/annotations/panoptic_val2014.json",
)
VOC_TRAIN = Need(
    "PASCAL VOC 2012, train",
    _VOC,
    ("JPEGImages", "annotations/instances_train_agnostic.json"),
    "2 GB",
    "host.robots.ox.ac.uk/pascal/VOC/voc2012",
    f"python tools/dataset_converters/voc2012.py --data-root data/{_VOC} --split train "
    f"--out data/{_VOC}/annotations/instances_train_agnostic.json",
)
COCO_TRAIN = Need(
    "COCO 2014 train",
    "coco",
    ("train2014", "annotations/instances_train2014.json"),
    "13 GB",
    "cocodataset.org",
)
COCO_2014_CLASSES = Need(
    "COCO 2014 val's annotations with classes",
    "coco",
    ("annotations/instances_val2014.json",),
    "0.2 GB",
    "cocodataset.org",
)
IMAGENET = Need("ImageNet train", "imagenet/train", (".",), "140 GB", "image-net.org")
IMAGENET_BOXES = Need(
    "ImageNet train's boxes, and the names of its classes",
    "imagenet",
    ("Annotations/CLS-LOC/train", "LOC_synset_mapping.txt"),
    "20 MB, unpacked 2 GB",
    "image-net.org; both in kaggle.com/c/imagenet-object-localization-challenge",
)
TRAINED_ON = "imagenet"
"""Whose images the paper's student is trained on, but for Table 2; of :data:`STUDENT_DATA`."""
STUDENT_DATA = {
    TRAINED_ON: IMAGENET,
    "voc2012": Need(
        "PASCAL VOC 2012, train without annotations",
        _VOC,
        ("JPEGImages", "ImageSets/Segmentation/train.txt"),
        "2 GB",
        "host.robots.ox.ac.uk/pascal/VOC/voc2012",
    ),
    "coco2014": COCO_TRAIN,
}
"""Images of students, by their names in the configs."""
COCO_2014_SPLIT = Need(
    "COCO 2014 val, for scores during training",
    "coco",
    ("val2014", "annotations/instances_val2014.json"),
    "6.5 GB",
    "cocodataset.org",
)
PHOTOS = Need(
    "photos with masks, for scores during training",
    "coco_photos",
    ("images", "instances.json"),
    "0.1 GB",
    "any with a COCO instances file, such as a part of COCO 2017 val",
)


def _nuclei(name: str, folder: str, size: str, source: str) -> Need:
    return Need(
        f"{name} test",
        folder,
        ("image", "mask", "annotations/instances_agnostic.json"),
        size,
        source,
        f"python tools/dataset_converters/nuclei.py --kind coin --data-root data/{folder} "
        f"--out data/{folder}/annotations/instances_agnostic.json",
    )


MONUSEG = _nuclei("MoNuSeg", "monuseg/test", "0.1 GB", "COIN's repository")
TNBC = _nuclei("TNBC", "tnbc/test", "0.1 GB", "COIN's repository")
HRSID = Need(
    "HRSID test",
    "hrsid",
    ("JPEGImages", "annotations/test2017_agnostic.json"),
    "0.6 GB",
    "github.com/chaozhong2010/HRSID",
    "python tools/dataset_converters/coco.py --kind hrsid --annotations "
    "data/hrsid/annotations/test2017.json --out data/hrsid/annotations/test2017_agnostic.json",
)
ISAID = Need(
    "iSAID val, the devkit's patches",
    "isaid/val",
    ("images", "annotations/instances_val_agnostic.json"),
    "10 GB",
    "captain-whu.github.io/iSAID",
    "python tools/dataset_converters/coco.py --kind isaid --annotations "
    "data/isaid/val/instancesonly_filtered_val.json --out "
    "data/isaid/val/annotations/instances_val_agnostic.json",
)
SAM_WEIGHTS = Need(
    "SAM ViT-H", ".", (), "2.6 GB", "downloaded when needed: hub id facebook/sam-vit-huge"
)
GROUNDING_DINO_WEIGHTS = Need(
    "Grounding DINO, base",
    ".",
    (),
    "0.9 GB",
    "downloaded when needed: hub id IDEA-Research/grounding-dino-base",
)


def masks_of(method: str, benchmark: str, folder: str, source: str) -> Need:
    """Masks that another method has made of a benchmark's images.

    Args:
        method: its name in the configs.
        benchmark: likewise.
        folder: of the benchmark.
        source: whose code makes them.
    """
    name = f"masks/{method}_{benchmark}.json"
    own = f"trace-mm segment IMAGES --generator {method} --backbone timm:vit_base_patch8_224.dino"
    convert = "" if method == "cutler" else f"or by ours: {own} --out DIR (its instances.json)"
    return Need(f"{method}'s masks of {benchmark}", folder, (name,), "0.1 to 2 GB", source, convert)
