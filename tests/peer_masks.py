"""Small files of masks as other projects write them, with their bugs.

Each writer takes a folder and the masks bool (H, W) of images by name, and returns what a user
would point at.
"""

import json

import numpy as np
import scipy.io
from PIL import Image
from pycocotools import mask as mask_utils

PALETTE = [value for color in range(256) for value in (color, 255 - color, 37 * color % 256)]


def rectangles(size, *boxes):
    """Masks of boxes (top, left, height, width)."""
    masks = np.zeros((len(boxes), *size), dtype=bool)
    for mask, (top, left, height, width) in zip(masks, boxes, strict=True):
        mask[top : top + height, left : left + width] = True
    return masks


def some_images():
    """Two images of different shapes, with masks that do not overlap."""
    return {
        "000000000139": rectangles((12, 17), (1, 2, 4, 5), (6, 9, 5, 6), (8, 0, 3, 4)),
        "000000000285": rectangles((20, 10), (0, 0, 7, 4), (10, 3, 9, 6)),
    }


def rle(mask):
    encoded = mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": encoded["size"], "counts": encoded["counts"].decode("ascii")}


def box(mask):
    """As pycocotools returns it: floats."""
    return mask_utils.toBbox(rle(mask)).tolist()


def save(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def each_mask(images):
    """Image number, name and mask, of all masks; images count from 1."""
    for number, (name, masks) in enumerate(images.items(), start=1):
        for mask in masks:
            yield number, name, mask


def foreground_file(images, annotations):
    """What MaskCut and CutLER's self-training write around annotations: sizes are swapped."""
    return {
        "info": {"description": "ImageNet-1K: pseudo-masks with MaskCut"},
        "licenses": [{"id": 1}],
        "categories": [{"id": 1, "name": "fg", "supercategory": "fg"}],
        "images": [
            {
                "id": number,
                "file_name": f"photos/{name}.jpg",
                "width": masks[0].shape[0],
                "height": masks[0].shape[1],
            }
            for number, (name, masks) in enumerate(images.items(), start=1)
        ],
        "annotations": annotations,
    }


def maskcut_annotations(images):
    return [
        {
            "id": number,
            "image_id": image_id,
            "category_id": 1,
            "iscrowd": 0,
            "area": int(mask.sum()),
            "bbox": box(mask),
            "segmentation": rle(mask),
            "width": mask.shape[1],
            "height": mask.shape[0],
        }
        for number, (image_id, _, mask) in enumerate(each_mask(images), start=1)
    ]


def write_maskcut(folder, images):
    content = foreground_file(images, maskcut_annotations(images))
    return save(folder / "imagenet_train_fixsize480_tau0.15_N3_0_1.json", content)


def write_cutler_results(folder, images, scores=(0.9, 0.4, 0.7)):
    """The list of detectron2's evaluation; ids are those of the data set."""
    results = [
        {
            "image_id": int(name),
            "category_id": 1,
            "bbox": box(mask),
            "score": scores[number % len(scores)],
            "segmentation": rle(mask),
        }
        for number, (_, name, mask) in enumerate(each_mask(images))
    ]
    return save(folder / "coco_instances_results.json", results)


def write_cutler_self_training(folder, images):
    """Detections with scores beside masks of MaskCut without; areas are those of the boxes."""
    annotations = maskcut_annotations(images)
    for number, annotation in enumerate(annotations):
        if number % 2:
            annotation["score"] = 0.8
        width, height = annotation["bbox"][2:]
        annotation["area"] = width * height
        annotation["width"], annotation["height"] = annotation["segmentation"]["size"]
    return save(folder / "cutler_imagenet1k_train_r1.json", foreground_file(images, annotations))


def write_promerge(folder, images):
    """A list without images; category and score are constants, and ids count from 0."""
    results = [
        {
            "id": number,
            "image_id": int(name),
            "category_id": 1.0,
            "iscrowd": 0,
            "area": int(mask.sum()),
            "score": 1.0,
            "bbox": box(mask),
            "segmentation": rle(mask),
            "width": mask.shape[1],
            "height": mask.shape[0],
        }
        for number, (_, name, mask) in enumerate(each_mask(images))
    ]
    return save(folder / "dino480_bipartition0.2_promerge_dir.json", results)


def write_unsam(folder, images, refined=True):
    """A file an image; refined ones beside them, whose annotations share an id."""
    for name, masks in images.items():
        annotations = maskcut_annotations({name: masks})
        content = {
            "info": {"version": "1.0"},
            "categories": [{"id": 1, "name": "fg", "supercategory": "fg"}],
            "image": {
                "id": int(name),
                "file_name": f"{name}.jpg",
                "width": masks[0].shape[1],
                "height": masks[0].shape[0],
            },
            "annotations": annotations,
        }
        if refined:
            save(folder / f"{name}.json", {**content, "annotations": annotations[:1]})
            for annotation in annotations:
                annotation["id"] = 1
        save(folder / f"{'p_' if refined else ''}{name}.json", content)
    return folder


def write_u2seg(folder, images, class_number=300):
    """Segments count through the data set; stuff fills the rest, with no box and no area."""
    annotations, segment_id = [], 70000
    for name, masks in images.items():
        ids = np.zeros(masks[0].shape, dtype=np.uint32)
        segments = []
        for mask in masks:
            ids[mask] = segment_id
            segments.append(
                {"id": segment_id, "category_id": 7, "iscrowd": 0, "bbox": box(mask)}
                | {"area": int(mask.sum()), "segmentation": rle(mask), "image_id": int(name)}
            )
            segment_id += 1
        segments.append({"category_id": class_number + 3, "id": segment_id, "iscrowd": 0})
        segments[-1] |= {"bbox": [], "area": 0}
        ids[ids == 0] = segment_id
        segment_id += 1
        annotations.append(
            {"file_name": f"{name}.png", "image_id": int(name), "segments_info": segments}
        )
        save_colors(folder / "cocotrain_300" / f"{name}.png", ids)
    content = {
        "images": [{"id": int(name), "file_name": f"{name}.jpg"} for name in images],
        "annotations": annotations,
        "categories": [
            {"id": number, "name": str(number), "isthing": int(number <= class_number)}
            for number in range(1, class_number + 28)
        ],
    }
    return save(folder / "cocotrain_300.json", content)


def save_colors(path, ids):
    path.parent.mkdir(parents=True, exist_ok=True)
    colors = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=2).astype(np.uint8)
    Image.fromarray(colors).save(path)


def save_palette(path, ids):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids.astype(np.uint8)).convert("P")
    image.putpalette(PALETTE)
    image.save(path)


def write_dhr(folder, images, classes=(15, 2, 20)):
    """Semantic masks, of classes that do not count up."""
    for name, masks in images.items():
        ids = np.zeros(masks[0].shape, dtype=np.uint8)
        for mask, number in zip(masks, classes, strict=False):
            ids[mask] = number
        save_palette(folder / f"{name}.png", ids)
    return folder


def write_voc(folder, images, classes=(15, 2, 20)):
    """VOC's two folders, with the void rim of its annotations."""
    for name, masks in images.items():
        objects = np.zeros(masks[0].shape, dtype=np.uint8)
        kinds = np.zeros(masks[0].shape, dtype=np.uint8)
        for number, (mask, kind) in enumerate(zip(masks, classes, strict=False), start=1):
            objects[mask], kinds[mask] = number, kind
        objects[-1], kinds[-1] = 255, 255
        save_palette(folder / "SegmentationObject" / f"{name}.png", objects)
        save_palette(folder / "SegmentationClass" / f"{name}.png", kinds)
    return folder / "SegmentationObject"


def write_cups(folder, images, classes=(11, 0, 13)):
    """Pairs of grey images; pseudo classes count from 0, objects from 1."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, masks in images.items():
        semantic = np.full(masks[0].shape, 4, dtype=np.uint8)
        instance = np.zeros(masks[0].shape, dtype=np.uint8)
        for number, (mask, kind) in enumerate(zip(masks, classes, strict=False), start=1):
            semantic[mask], instance[mask] = kind, number
        Image.fromarray(semantic).save(folder / f"{name}_semantic.png")
        Image.fromarray(instance).save(folder / f"{name}_instance.png")
    return folder


def write_irn(folder, images, classes=(14, 1, 19)):
    """Pickled dicts; classes count from 0, and fragments have score 0."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, masks in images.items():
        count = len(masks)
        detected = {
            "score": np.stack([0, *np.linspace(0.5, 0.9, count - 1, dtype=np.float32)], 0),
            "mask": np.stack(masks, 0),
            "class": np.stack(classes[:count], 0),
        }
        np.save(folder / f"{name}.npy", detected)
    return folder


def numbered(masks):
    """Numbers of instances (H, W) from 1."""
    return sum(number * mask.astype(np.int32) for number, mask in enumerate(masks, start=1))


def write_instance_npy(folder, images):
    """Arrays of numbers, as many methods for cells save them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, masks in images.items():
        np.save(folder / f"{name}.npy", numbered(masks))
    return folder


def write_instance_mat(folder, images):
    """HoVer-Net's files: numbers as floats, and centres beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, masks in images.items():
        content = {"inst_map": numbered(masks).astype(np.float64), "inst_centroid": np.ones((9, 2))}
        scipy.io.savemat(folder / f"{name}.mat", content)
    return folder


def write_coin(folder, images):
    """COIN's scripts write by OpenCV: blue is number // 256, green number % 256."""
    for name, masks in images.items():
        save_colors(folder / f"{name}.png", 256 * numbered(masks))
    return folder


def write_png(folder, images):
    """``<stem>_<n>.png``, black and white."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, masks in images.items():
        for number, mask in enumerate(masks):
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{name}_{number}.png")
    return folder


def write_png_folders(folder, images):
    """A folder for each image."""
    for name, masks in images.items():
        (folder / name).mkdir(parents=True)
        for number, mask in enumerate(masks):
            Image.fromarray(mask).save(folder / name / f"{number}.png")  # one bit a pixel
    return folder


WRITERS = {
    "maskcut": write_maskcut,
    "cutler": write_cutler_results,
    "cutler self-training": write_cutler_self_training,
    "promerge": write_promerge,
    "unsam": write_unsam,
    "u2seg": write_u2seg,
    "dhr": write_dhr,
    "voc": write_voc,
    "cups": write_cups,
    "instance_maps npy": write_instance_npy,
    "instance_maps mat": write_instance_mat,
    "irn": write_irn,
    "png": write_png,
    "png folders": write_png_folders,
}
"""By format, and what else distinguishes them."""
