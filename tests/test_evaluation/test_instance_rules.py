"""What counts, what is ignored, and what is refused, on images of one or two rectangles."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mm.evaluation import evaluate_instances
from trace_mm.files.coco import decode_rle, encode_rle, instance_annotation


def rectangle(size, left, top, width, height):
    mask = np.zeros(size, dtype=bool)
    mask[top : top + height, left : left + width] = True
    return mask


def small_truth(masks, categories=None, **extra):
    """One image with an annotation for each mask."""
    size = masks[0].shape
    annotations = []
    for number, mask in enumerate(masks):
        record = instance_annotation(mask, categories[number] if categories else 1)
        annotations.append({**record, "image_id": 5, "id": number, **extra})
    images = [{"id": 5, "height": size[0], "width": size[1]}]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "x"}]}


def detection(mask, score=1.0):
    return {"image_id": 5, "segmentation": encode_rle(mask), "score": score}


SIZE = (40, 60)
LEFT, RIGHT = rectangle(SIZE, 2, 5, 20, 20), rectangle(SIZE, 30, 5, 20, 20)


def test_annotation_ids_do_not_matter():
    # COCOeval itself takes a match with annotation 0 for no match.
    truth = small_truth([LEFT, RIGHT])
    assert truth["annotations"][0]["id"] == 0
    assert evaluate_instances(truth, [detection(LEFT), detection(RIGHT)]).ap == pytest.approx(1)
    for annotation in truth["annotations"]:
        annotation["id"] = 9
    assert evaluate_instances(truth, [detection(LEFT), detection(RIGHT)]).ap == pytest.approx(1)


def test_no_detections_score_zero():
    scores = evaluate_instances(small_truth([LEFT, RIGHT]), [])
    assert (scores.ap, scores.ap50, scores.ar[100], scores.detections) == (0, 0, 0, 0)
    assert scores.ap_by_size == {"s": 0, "m": -1, "l": -1}


def test_detections_of_a_crowd_do_not_count():
    truth = small_truth([LEFT, RIGHT])
    truth["annotations"][1]["iscrowd"] = 1
    part = rectangle(SIZE, 32, 8, 5, 5)
    results = [detection(part, 0.9), detection(part, 0.8), detection(LEFT, 0.5)]
    scores = evaluate_instances(truth, results)
    assert scores.ap == pytest.approx(1) and scores.instances == 1


def test_a_missing_area_is_measured():
    truth = small_truth([rectangle((200, 200), 10, 10, 100, 100)])
    for area in (None, 0, float("nan")):
        truth["annotations"][0]["area"] = area
        scores = evaluate_instances(truth, [])
        assert scores.ap_by_size == {"s": -1, "m": -1, "l": 0}


def test_touching_and_apart_are_scored_alone():
    size, images, annotations = (64, 64), [], []
    for image_id, left in ((1, 22), (2, 30)):  # the second square touches, or lies 8 pixels away
        images.append({"id": image_id, "height": 64, "width": 64})
        for mask in (rectangle(size, 2, 2, 20, 20), rectangle(size, left, 2, 20, 20)):
            record = instance_annotation(mask, 3)
            annotations.append({**record, "image_id": image_id, "id": len(annotations) + 1})
    merged = rectangle(size, 2, 2, 40, 20)
    results = [{"image_id": 1, "segmentation": encode_rle(merged), "score": 0.9}]
    results += [
        {"image_id": 2, "segmentation": item["segmentation"], "score": 0.8}
        for item in annotations[2:]
    ]
    truth = {"images": images, "annotations": annotations, "categories": [{"id": 3, "name": "a"}]}
    scores = evaluate_instances(truth, results)
    assert scores.touching.image_ids == [1] and scores.apart.image_ids == [2]
    for split in (scores.touching, scores.apart):
        alone = evaluate_instances(truth, results, image_ids=split.image_ids)
        assert (split.ap, split.ar) == (alone.ap, alone.ar[100])
    assert scores.apart.ap == pytest.approx(1) and scores.touching.ap < 0.2
    names = scores.to_dict()
    assert names["AP_apart"] == scores.apart.ap and names["images_touching"] == 1


def voc_truth():
    """Two objects, one difficult, with a void band right of the first."""
    truth = small_truth([LEFT, RIGHT])
    truth["annotations"][1]["difficult"] = 1
    truth["images"][0]["void_segmentation"] = encode_rle(rectangle(SIZE, 22, 0, 4, 40))
    return truth


def test_voc_protocol_ignores_difficult_objects_and_void_pixels():
    wide = rectangle(SIZE, 2, 5, 24, 20)  # the first object and the void beside it
    results = [detection(RIGHT, 0.9), detection(wide, 0.5)]
    voc = evaluate_instances(voc_truth(), results, protocol="voc2012")
    assert voc.ap == pytest.approx(1) and voc.instances == 1
    coco = evaluate_instances(voc_truth(), results)
    assert coco.ap < 1 and coco.instances == 2
    missed = evaluate_instances(voc_truth(), results[1:], protocol="voc2012")
    assert missed.ar[100] == 1


def test_voc_protocol_needs_void_pixels():
    with pytest.raises(ValueError, match=r"void_segmentation in each image.*voc2012\.py"):
        evaluate_instances(small_truth([LEFT]), [], protocol="voc2012")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 6}, "image 6 is not in"),
        ({"image_id": None}, r"results\[0\]: image_id must be a whole number or text"),
        ({"image_id": "x"}, r"results\[0\]: image 'x' is not in"),
        (
            {"score": float("nan")},
            r"image 5: .*results\[0\]: score must be a finite",
        ),
        ({"score": None}, "image 5: .*there is no score"),
        ({"segmentation": encode_rle(LEFT[:20])}, r"image 5: .*\(20, 60\).*\(40, 60\)"),
        ({"segmentation": {"size": [40, 60], "counts": [5, 9]}}, "image 5: .*14 pixels"),
        ({"segmentation": {"size": [40, 60], "counts": "59"}}, "image 5: .*14 pixels"),
        ({"segmentation": {"size": [40, 60], "counts": "é"}}, "image 5: .*do not occur in RLE"),
        ({"segmentation": {"size": [40, 60]}}, "image 5: .*counts of the RLE"),
        ({"segmentation": [[1, 2, 3]]}, "image 5: .*no pairs x, y"),
        ({"segmentation": ["ab"]}, "image 5: .*must be a list of numbers"),
        ({"segmentation": [[0, 0, 9, 0, 9, 1e6]]}, "image 5: .*reaches far out"),
        ({"segmentation": [[0, 0, 9, 0, 9, float("nan")]]}, "image 5: .*reaches far out"),
        ({"segmentation": "x"}, "image 5: .*neither polygons nor RLE"),
    ],
)
def test_a_wrong_detection_names_the_image(change, message):
    with pytest.raises(ValueError, match=message):
        evaluate_instances(small_truth([LEFT]), [{**detection(LEFT), **change}])


@pytest.mark.parametrize("key", ["images", "annotations"])
def test_not_a_coco_file(key):
    truth = small_truth([LEFT])
    del truth[key]
    with pytest.raises(ValueError, match=f"no list '{key}'"):
        evaluate_instances(truth, [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 8}, r"annotations\[0\]: image_id: image 8 is not listed"),
        ({"segmentation": None}, r"annotations\[0\]: .*neither polygons nor RLE"),
        ({"bbox": [1, 2, float("inf"), 3]}, r"annotations\[0\]: bbox must be four"),
        ({"category_id": None}, r"annotations\[0\]: category_id must be a whole number"),
    ],
)
def test_a_wrong_annotation_is_named(change, message):
    truth = small_truth([LEFT])
    truth["annotations"][0].update(change)
    with pytest.raises(ValueError, match=message):
        evaluate_instances(truth, [])


@pytest.mark.parametrize("image_id", [5, 5.0, "5"])
def test_ids_in_several_forms_are_the_same(image_id):
    truth = small_truth([LEFT, RIGHT])
    for record in truth["annotations"]:
        record.update(image_id=image_id, category_id="1", iscrowd="0")
    results = [{**detection(mask), "image_id": image_id} for mask in (LEFT, RIGHT)]
    assert evaluate_instances(truth, results).ap == pytest.approx(1)


@pytest.mark.parametrize("info", [None, [], "", "text", {"boxes_only": None}])
def test_info_of_any_kind(info):
    truth = {**small_truth([LEFT]), "info": info}
    assert evaluate_instances(truth, [detection(LEFT)]).ap == pytest.approx(1)


def test_files_in_any_encoding_and_of_both_kinds(tmp_path):
    truth, results = tmp_path / "truth.json", tmp_path / "results.json"
    truth.write_text(json.dumps(small_truth([LEFT])), encoding="utf-8-sig")
    results.write_text(json.dumps([detection(LEFT)]), encoding="utf-16")
    assert evaluate_instances(truth, results).ap == pytest.approx(1)
    refined = small_truth([LEFT], score=0.5)  # as trace-mm refine writes it
    assert evaluate_instances(truth, refined).ap == pytest.approx(1)
    with pytest.raises(ValueError, match=r"annotations\[0\]: there is no score"):
        evaluate_instances(truth, small_truth([LEFT]))
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        evaluate_instances(tmp_path / "none.json", results)


def test_files_of_crowds_only():
    truth = small_truth([LEFT, RIGHT], iscrowd=1)  # RLE, as some tools write brush masks
    results = [detection(LEFT), detection(RIGHT)]
    assert evaluate_instances(truth, results).ap == pytest.approx(1)
    corners = [[2, 5, 22, 5, 22, 25, 2, 25]]
    truth = small_truth([LEFT, RIGHT], iscrowd=1, segmentation=corners)
    with pytest.raises(ValueError, match=r"2 of 2 annotations are crowds .* have iscrowd 0"):
        evaluate_instances(truth, results)


def test_boxes_only_files_are_not_scored_by_masks():
    truth = {**small_truth([LEFT]), "info": {"boxes_only": True}}
    with pytest.raises(ValueError, match="boxes only"):
        evaluate_instances(truth, [])
    assert evaluate_instances(truth, [detection(LEFT)], iou_type="bbox").ap == pytest.approx(1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"protocol": "voc"},
        {"iou_type": "keypoints"},
        {"max_detections": ()},
        {"max_detections": (0, 1)},
        {"touch_distance": -1},
    ],
)
def test_unknown_settings(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        evaluate_instances(small_truth([LEFT]), [], **wrong)


def test_no_images():
    scores = evaluate_instances(small_truth([LEFT]), [detection(LEFT)], image_ids=[])
    assert (scores.ap, scores.ar[100], scores.images) == (-1, -1, 0)


def test_other_numbers_of_detections():
    masks = [rectangle(SIZE, 2 + 9 * index, 3, 7, 7) for index in range(6)]
    scores = evaluate_instances(
        small_truth(masks), [detection(mask) for mask in masks], max_detections=(1, 3)
    )
    assert scores.ar == pytest.approx({1: 1 / 6, 3: 0.5})
    assert {"AR1", "AR3", "AR3_touching"} <= scores.to_dict().keys()


@settings(max_examples=60, deadline=None)
@given(counts=st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=30))
def test_damaged_rle_is_refused_before_pycocotools_sees_it(counts):
    # pycocotools would not come back from most of these.
    rle = {"size": list(SIZE), "counts": counts}
    result = {"image_id": 5, "segmentation": rle, "score": 1}
    try:
        decode_rle(rle, SIZE)
    except ValueError:
        with pytest.raises(ValueError, match="image 5: a detection is wrong"):
            evaluate_instances(small_truth([LEFT]), [result])
    else:
        assert evaluate_instances(small_truth([LEFT]), [result]).detections == 1


def test_polygons_and_uncompressed_rle_are_masks_too():
    truth = small_truth([LEFT])
    runs = [[key, len(list(group))] for key, group in itertools.groupby(LEFT.T.ravel())]
    counts = [length for _, length in runs]
    truth["annotations"][0]["segmentation"] = {"size": list(SIZE), "counts": counts}
    corners = [2, 5, 22, 5, 22, 25, 2, 25]
    result = {"image_id": 5, "segmentation": [corners], "score": 1}
    assert evaluate_instances(truth, [result]).ap == pytest.approx(1)


@pytest.mark.parametrize("polygons", [False, True])
def test_sizes_that_a_file_swaps_are_those_of_its_masks(polygons):
    """MaskCut writes them, and tools that show photos upright but state the stored size."""
    low = rectangle(SIZE, 30, 5, 28, 20)  # reaches further than the image is high
    truth = small_truth([LEFT, low])
    truth["images"][0].update(height=SIZE[1], width=SIZE[0])
    if polygons:
        for annotation in truth["annotations"]:
            left, top, width, height = annotation["bbox"]
            right, bottom = left + width, top + height
            annotation["segmentation"] = [[left, top, right, top, right, bottom, left, bottom]]
    assert evaluate_instances(truth, [detection(LEFT), detection(low)]).ap == pytest.approx(1)
