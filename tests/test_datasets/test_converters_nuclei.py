"""MoNuSeg, TNBC, COIN's folders and DSB 2018, from small folders in their layouts."""

import json

import numpy as np
import pytest
from PIL import Image

from trace_mm.datasets.converters import (
    convert_coin,
    convert_dsb2018,
    convert_instances_panoptic,
    convert_monuseg,
    convert_tnbc,
    describe,
    write_annotation_file,
)
from trace_mm.files.coco import decode_rle
from trace_mm.files.panoptic import read_panoptic_png

SIZE = (20, 30)


def squares(*corners):
    """Masks of 5 x 5 pixels, by their upper left corners."""
    masks = np.zeros((len(corners), *SIZE), dtype=bool)
    for mask, (top, left) in zip(masks, corners, strict=True):
        mask[top : top + 5, left : left + 5] = True
    return masks


def ids_of(masks):
    return sum(number * mask.astype(np.int32) for number, mask in enumerate(masks, start=1))


def write_image(path, values=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8) if values is None else values).save(path)


def imagescope(*polygons, negative=False):
    """As ImageScope writes regions: X, Y and Z of each corner."""
    regions = "".join(
        f'<Region Id="{number}" NegativeROA="{int(negative)}"><Vertices>'
        + "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in corners)
        + "</Vertices></Region>"
        for number, corners in enumerate(polygons, start=1)
    )
    return (
        '<Annotations MicronsPerPixel="0.25"><Annotation Id="1"><Attributes/>'
        f"<Regions><RegionAttributeHeaders/>{regions}</Regions></Annotation></Annotations>"
    )


SQUARE = [(2, 3), (7, 3), (7, 8), (2, 8)]


def write_monuseg(root):
    for stem in ("TCGA-2", "TCGA-1"):
        write_image(root / "Tissue Images" / f"{stem}.tif")
    (root / "Annotations").mkdir()
    (root / "Annotations" / "TCGA-1.xml").write_text(imagescope(SQUARE, [(1, 1), (2, 2)]))
    other = [(20.0, 10.0), (26.5, 10.0), (23.0, 16.0)]
    (root / "Annotations" / "TCGA-2.xml").write_text(imagescope(SQUARE, other))


def write_tnbc(root, binary=False):
    for slide, corners in (("01", [(0, 0), (0, 5), (10, 10)]), ("02", [(3, 3)])):
        write_image(root / f"Slide_{slide}" / f"{slide}_1.png")
        ids = ids_of(squares(*corners))
        values = np.where(ids > 0, 255, 0) if binary else ids
        write_image(root / f"GT_{slide}" / f"{slide}_1.png", values.astype(np.uint8))


def write_coin(root):
    """Ids as COIN writes them by OpenCV: blue is id // 256, green id % 256."""
    write_image(root / "image" / "a.png")
    ids = np.where(ids_of(squares((0, 0), (9, 9))) == 2, 300, ids_of(squares((0, 0), (9, 9))))
    colors = np.stack([0 * ids, ids % 256, ids // 256], axis=2)
    write_image(root / "mask" / "a.png", colors.astype(np.uint8))


def write_dsb2018(root):
    write_image(root / "0a" / "images" / "0a.png")
    for number, mask in enumerate(squares((1, 1), (8, 8)), start=1):
        write_image(root / "0a" / "masks" / f"{number}.png", mask.astype(np.uint8) * 255)


def masks_of(content, image=1):
    return [
        decode_rle(one["segmentation"], SIZE)
        for one in content["annotations"]
        if one["image_id"] == image
    ]


def test_polygons_of_monuseg(tmp_path):
    write_monuseg(tmp_path)
    content = convert_monuseg(tmp_path, progress=False)
    names = [image["file_name"] for image in content["images"]]
    assert names == ["Tissue Images/TCGA-1.tif", "Tissue Images/TCGA-2.tif"]
    (mask,) = masks_of(content)
    square = np.zeros(SIZE, dtype=bool)
    square[3:8, 2:7] = True
    np.testing.assert_array_equal(mask, square)
    assert len(masks_of(content, 2)) == 2
    assert describe(content) == "2 images, 3 instances, 0 crowds, 1 without extent left out"
    assert content["original_categories"] == [{"id": 1, "name": "nucleus"}]


def test_regions_that_take_away_are_left_out(tmp_path):
    write_monuseg(tmp_path)
    (tmp_path / "Annotations" / "TCGA-1.xml").write_text(imagescope(SQUARE, negative=True))
    content = convert_monuseg(tmp_path, progress=False)
    assert masks_of(content) == [] and content["info"]["left_out"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<Annotations>", "not an annotation file of ImageScope"),
        (imagescope([("a", 1), (2, 2), (3, 1)]), "region 1: could not convert"),
        (imagescope([(1e9, 1), (2, 2), (3, 1)]), "region 1: "),
    ],
)
def test_a_wrong_file_of_monuseg_is_named(tmp_path, text, message):
    write_monuseg(tmp_path)
    (tmp_path / "Annotations" / "TCGA-1.xml").write_text(text)
    with pytest.raises(ValueError, match=rf"TCGA-1\.xml: {message}"):
        convert_monuseg(tmp_path, progress=False)


def test_annotations_without_image_and_images_of_one_name(tmp_path):
    write_monuseg(tmp_path)
    write_image(tmp_path / "more" / "TCGA-1.png")
    with pytest.raises(ValueError, match="has the same name"):
        convert_monuseg(tmp_path, progress=False)
    (tmp_path / "more" / "TCGA-1.png").unlink()
    (tmp_path / "Tissue Images" / "TCGA-1.tif").unlink()
    with pytest.raises(FileNotFoundError, match=r"TCGA-1\.xml: there is no image TCGA-1"):
        convert_monuseg(tmp_path, progress=False)


@pytest.mark.parametrize(("binary", "found"), [(False, 3), (True, 2)])
def test_maps_of_tnbc(tmp_path, binary, found):
    write_tnbc(tmp_path, binary)
    content = convert_tnbc(tmp_path, progress=False)
    assert [image["file_name"] for image in content["images"]] == [
        "Slide_01/01_1.png",
        "Slide_02/02_1.png",
    ]
    assert len(masks_of(content)) == found  # in black and white two squares are one part
    assert len(masks_of(content, 2)) == 1
    assert ("black and white" in describe(content)) == binary


def test_nuclei_beyond_254_are_none_of_void(tmp_path):
    """In maps of 8 bits 255 is VOC's void, but here a nucleus."""
    write_tnbc(tmp_path)
    ids = np.zeros(SIZE, dtype=np.uint8)
    ids[:5, :5], ids[10:15, 10:15] = 254, 255
    write_image(tmp_path / "GT_02" / "02_1.png", ids)
    assert len(masks_of(convert_tnbc(tmp_path, progress=False), 2)) == 2


def test_a_map_of_another_size_is_named(tmp_path):
    write_tnbc(tmp_path)
    write_image(tmp_path / "GT_02" / "02_1.png", np.ones((4, 4), np.uint8))
    with pytest.raises(ValueError, match=r"02_1\.png: the map is \(4, 4\)"):
        convert_tnbc(tmp_path, progress=False)


def test_colours_of_coin(tmp_path):
    write_coin(tmp_path / "TNBC" / "test")
    content = convert_coin(tmp_path / "TNBC" / "test", progress=False)
    np.testing.assert_array_equal(masks_of(content), squares((0, 0), (9, 9)))
    assert content["info"]["description"] == "COIN TNBC test, class-agnostic"


def test_mask_files_of_dsb2018(tmp_path):
    write_dsb2018(tmp_path)
    content = convert_dsb2018(tmp_path, progress=False)
    np.testing.assert_array_equal(masks_of(content), squares((1, 1), (8, 8)))
    write_image(tmp_path / "0a" / "images" / "second.png")
    with pytest.raises(ValueError, match="there must be one image, not 2"):
        convert_dsb2018(tmp_path, progress=False)


@pytest.mark.parametrize("convert", [convert_monuseg, convert_tnbc, convert_coin, convert_dsb2018])
def test_folders_without_annotations(tmp_path, convert):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        convert(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="in it"):
        convert(tmp_path)


def test_panoptic_maps_have_a_background(tmp_path):
    write_dsb2018(tmp_path / "data")
    write_annotation_file(
        convert_dsb2018(tmp_path / "data", progress=False), tmp_path / "instances.json"
    )
    content = convert_instances_panoptic(
        tmp_path / "instances.json", tmp_path / "panoptic", False, background="background"
    )
    assert [(one["name"], one["isthing"]) for one in content["categories"]] == [
        ("object", 1),
        ("background", 0),
    ]
    ids = read_panoptic_png(tmp_path / "panoptic" / "0a.png", SIZE)
    areas = {one["id"]: one["area"] for one in content["annotations"][0]["segments_info"]}
    assert (ids > 0).all() and sorted(areas.values()) == [25, 25, SIZE[0] * SIZE[1] - 50]
    assert json.dumps(content)
