"""Class-agnostic scores against pycocotools, and against loops written from the definition."""

import contextlib
import io
import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from trace_mm.evaluation import evaluate_instances
from trace_mm.files.coco import encode_rle, instance_annotation

IOUS = np.linspace(0.5, 0.95, 10)


def rectangle(size, left, top, width, height):
    mask = np.zeros(size, dtype=bool)
    mask[top : top + height, left : left + width] = True
    return mask


def random_mask(rng, size):
    height, width = size
    mask = rectangle(
        size,
        int(rng.integers(0, width - 4)),
        int(rng.integers(0, height - 4)),
        int(rng.integers(2, width // 2)),
        int(rng.integers(2, height // 2)),
    )
    return mask ^ (mask & (rng.random(size) < 0.1))


def random_case(seed, tied=False):
    """Ground truth of three classes with crowds, and detections near to it."""
    rng = np.random.default_rng(seed)
    images, annotations, results = [], [], []
    for number in range(int(rng.integers(1, 7))):
        size = int(rng.integers(30, 160)), int(rng.integers(30, 160))
        image_id = 1000 - 7 * number
        images.append({"id": image_id, "height": size[0], "width": size[1], "file_name": "a.jpg"})
        for _ in range(int(rng.integers(0, 6))):
            mask = random_mask(rng, size)
            record = instance_annotation(mask, int(rng.integers(1, 4)))
            record.update(image_id=image_id, id=len(annotations) + 1)
            record["iscrowd"] = int(rng.random() < 0.15)
            annotations.append(record)
            for _ in range(int(rng.integers(0, 4))):
                moved = np.roll(mask, rng.integers(-3, 4, 2), axis=(0, 1))
                score = float(rng.integers(0, 4) / 4) if tied else float(rng.random())
                results.append(
                    {"image_id": image_id, "segmentation": encode_rle(moved), "score": score}
                )
        results += [
            {
                "image_id": image_id,
                "segmentation": encode_rle(random_mask(rng, size)),
                "score": float(rng.random()),
            }
            for _ in range(int(rng.integers(0, 15)))
        ]
    categories = [{"id": number, "name": f"class {number}"} for number in (1, 2, 3)]
    truth = {"images": images, "annotations": annotations, "categories": categories}
    return truth, results


def pycocotools_stats(folder, truth, results, iou_type="segm"):
    """The twelve numbers of pycocotools, from files, as its users get them."""
    (folder / "truth.json").write_text(json.dumps(truth))
    boxes = iou_type == "bbox"
    listed = [
        {
            "image_id": result["image_id"],
            "category_id": 1,
            "score": result["score"],
            **({"bbox": result["bbox"]} if boxes else {"segmentation": result["segmentation"]}),
        }
        for result in results
    ]
    (folder / "results.json").write_text(json.dumps(listed))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(folder / "truth.json"))
        evaluator = COCOeval(coco, coco.loadRes(str(folder / "results.json")), iou_type)
        evaluator.params.useCats = 0
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator.stats


def as_stats(scores):
    """Our numbers in pycocotools' order."""
    sizes = ("s", "m", "l")
    return np.array(
        [
            scores.ap,
            scores.ap50,
            scores.ap75,
            *(scores.ap_by_size[size] for size in sizes),
            *(scores.ar[number] for number in (1, 10, 100)),
            *(scores.ar_by_size[size] for size in sizes),
        ]
    )


def in_documented_order(results):
    def key(result):
        mask_area = -sum_of(result["segmentation"])
        return (-result["score"], mask_area, box_of(result["segmentation"]), counts_of(result))

    return sorted(results, key=key)


def decoded(rle):
    return mask_utils.decode(rle).astype(bool)


def sum_of(rle):
    return int(decoded(rle).sum())


def box_of(rle):
    rows, columns = np.nonzero(decoded(rle))
    if not len(rows):
        return (0, 0, 0, 0)
    left, top = int(columns.min()), int(rows.min())
    return (left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1)


def counts_of(result):
    return result["segmentation"]["counts"].encode()


@pytest.mark.parametrize("seed", range(25))
def test_equals_pycocotools(tmp_path, seed):
    truth, results = random_case(seed)
    if not results:
        pytest.skip("pycocotools cannot read an empty list")
    scores = evaluate_instances(truth, results)
    np.testing.assert_allclose(
        as_stats(scores), pycocotools_stats(tmp_path, truth, results), rtol=0, atol=1e-9
    )


def test_which_of_two_equally_good_instances_is_taken_is_as_in_pycocotools(tmp_path):
    size = (20, 40)
    first, second = rectangle(size, 0, 0, 10, 10), rectangle(size, 4, 0, 10, 10)
    between = rectangle(size, 2, 0, 10, 10)  # overlaps both alike
    for categories in ((2, 1), (1, 2)):
        annotations = [
            {**instance_annotation(mask, category), "image_id": 3, "id": number}
            for number, (mask, category) in enumerate(
                zip((first, second), categories, strict=True), start=1
            )
        ]
        truth = {
            "images": [{"id": 3, "height": 20, "width": 40}],
            "annotations": annotations,
            "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        }
        results = [
            {"image_id": 3, "segmentation": encode_rle(mask), "score": score}
            for mask, score in ((between, 0.9), (second, 0.5))
        ]
        scores = as_stats(evaluate_instances(truth, results))
        expected = pycocotools_stats(tmp_path, truth, results)
        np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-9)


def test_only_the_best_hundred_detections_of_an_image_count(tmp_path):
    rng = np.random.default_rng(0)
    truth, results = random_case(1)
    image_id = truth["images"][0]["id"]
    size = truth["images"][0]["height"], truth["images"][0]["width"]
    worst = [random_mask(rng, size) for _ in range(150)]
    results = [{**item, "score": item["score"] / 2} for item in results] + [
        {"image_id": image_id, "segmentation": encode_rle(mask), "score": 0.2 + rng.random() / 2}
        for mask in worst
    ]
    scores = as_stats(evaluate_instances(truth, results))
    expected = pycocotools_stats(tmp_path, truth, results)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", range(25, 35))
def test_equals_pycocotools_with_tied_scores_in_the_documented_order(tmp_path, seed):
    truth, results = random_case(seed, tied=True)
    if not results:
        pytest.skip("pycocotools cannot read an empty list")
    expected = pycocotools_stats(tmp_path, truth, in_documented_order(results))
    np.testing.assert_allclose(
        as_stats(evaluate_instances(truth, results)), expected, rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("seed", range(5))
def test_boxes_equal_pycocotools(tmp_path, seed):
    truth, results = random_case(seed)
    results = [{**item, "bbox": list(box_of(item["segmentation"]))} for item in results]
    scores = evaluate_instances(truth, results, iou_type="bbox")
    expected = pycocotools_stats(tmp_path, truth, results, "bbox")
    np.testing.assert_allclose(as_stats(scores), expected, rtol=0, atol=1e-9)
    without = [{key: item[key] for key in item if key != "bbox"} for item in results]
    again = evaluate_instances(truth, without, iou_type="bbox")
    assert as_stats(again).tolist() == as_stats(scores).tolist()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), order=st.randoms(use_true_random=False))
def test_the_order_of_detections_does_not_matter(seed, order):
    truth, results = random_case(seed, tied=True)
    assume(truth["annotations"])
    shuffled = list(results)
    order.shuffle(shuffled)
    assert evaluate_instances(truth, results) == evaluate_instances(truth, shuffled)


def naive_ap(truth, results, iou):
    """AP at one IoU from the definition: greedy matching, interpolated precision, 101 recalls."""
    ranked = []
    found = {item["id"]: False for item in truth["annotations"]}
    for image in sorted(image["id"] for image in truth["images"]):
        ranked += [item for item in in_documented_order(results) if item["image_id"] == image]
    ranked.sort(key=lambda item: -item["score"])  # stable: image by image
    hits = []
    for item in ranked:
        mask, best, best_iou = decoded(item["segmentation"]), None, iou
        for annotation in truth["annotations"]:
            if annotation["image_id"] != item["image_id"] or found[annotation["id"]]:
                continue
            other = decoded(annotation["segmentation"])
            overlap = (mask & other).sum() / (mask | other).sum()
            if overlap >= best_iou:
                best, best_iou = annotation["id"], overlap
        hits.append(best is not None)
        if best is not None:
            found[best] = True
    total, points = len(found), []
    for wanted in np.linspace(0, 1, 101):
        reached = [
            sum(hits[: rank + 1]) / (rank + 1)
            for rank in range(len(hits))
            if sum(hits[: rank + 1]) / total >= wanted
        ]
        points.append(max(reached, default=0.0))
    return float(np.mean(points)), sum(hits) / total


@pytest.mark.parametrize("seed", range(6))
def test_equals_loops_written_from_the_definition(seed):
    truth, results = random_case(100 + seed, tied=True)
    for annotation in truth["annotations"]:
        annotation["iscrowd"] = 0
    if not truth["annotations"]:
        pytest.skip("nothing to find")
    scores = evaluate_instances(truth, results)
    by_iou = [naive_ap(truth, results, iou) for iou in IOUS]
    assert scores.ap == pytest.approx(np.mean([ap for ap, _ in by_iou]), abs=1e-9)
    assert scores.ap50 == pytest.approx(by_iou[0][0], abs=1e-9)
    assert scores.ap75 == pytest.approx(by_iou[5][0], abs=1e-9)
    assert scores.ar[100] == pytest.approx(np.mean([ar for _, ar in by_iou]), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_splits_equal_separate_evaluations(seed):
    truth, results = random_case(200 + seed)
    scores = evaluate_instances(truth, results, touch_distance=1)
    for split in (scores.touching, scores.apart):
        if split.image_ids:
            alone = evaluate_instances(truth, results, image_ids=split.image_ids)
            assert (split.ap, split.ar) == (alone.ap, alone.ar[100])
    ids = {image["id"] for image in truth["images"]}
    assert {*scores.touching.image_ids, *scores.apart.image_ids} == ids
