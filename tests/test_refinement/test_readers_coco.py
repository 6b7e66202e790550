"""COCO's JSON as MaskCut, CutLER, ProMerge and COCO write it."""

import json

import numpy as np
import pytest

from tests import peer_masks
from trace_mm.refinement.readers import BadMaskError, open_masks
from trace_mm.registry import MASK_READERS

IMAGES = peer_masks.some_images()
NAMES = list(IMAGES)


def read_all(reader, on_bad=None):
    """Masks by the stem of the image's name, or by its id."""
    found = {}
    for record in reader.records():
        stem = record.image.rsplit("/")[-1].rsplit(".")[0] if record.image else record.image_id
        stem = f"{stem:012d}" if isinstance(stem, int) else stem
        found[stem] = reader.read(record, IMAGES[stem][0].shape, on_bad)
    return found


def assert_all_masks(reader):
    found = read_all(reader)
    assert list(found) == NAMES
    for name, masks in IMAGES.items():
        np.testing.assert_array_equal(found[name].masks, masks)
        assert (found[name].labels == 1).all()
    return found


def change(path, edit):
    """Edit the content of a JSON file in place."""
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    return path


def test_maskcut(tmp_path):
    reader = open_masks(peer_masks.write_maskcut(tmp_path, IMAGES))
    assert type(reader).__name__ == "MaskCutReader"
    assert [record.image for record in reader.records()] == [f"photos/{name}.jpg" for name in NAMES]
    assert all(instances.scores is None for instances in assert_all_masks(reader).values())
    assert reader.categories == {1: "fg"}


def test_maskcut_files_of_several_jobs(tmp_path):
    for number, name in enumerate(NAMES, start=1):  # ids begin anew in each
        path = peer_masks.write_maskcut(tmp_path, {name: IMAGES[name]})
        path.rename(tmp_path / f"imagenet_train_fixsize480_tau0.15_N3_{number}_{number + 1}.json")
    reader = open_masks(tmp_path)
    assert type(reader).__name__ == "MaskCutReader"
    assert_all_masks(reader)


def test_a_torn_file_does_not_hide_the_others(tmp_path):
    path = peer_masks.write_maskcut(tmp_path, IMAGES)
    (tmp_path / "imagenet_train_fixsize480_tau0.15_N3_1_2.json").write_bytes(path.read_bytes()[:-9])
    *good, bad = open_masks(tmp_path).records()
    assert len(good) == 2
    assert "N3_1_2.json: not valid JSON" in bad.bad


def test_maskcut_forgets_images_of_one_name(tmp_path):
    path = peer_masks.write_maskcut(tmp_path, IMAGES)
    change(path, lambda content: content["images"].pop())
    good, bad = open_masks(path).records()
    assert (good.image, bad.image) == (f"photos/{NAMES[0]}.jpg", None)
    with pytest.raises(BadMaskError, match=r"tau0\.15.*image id 2: .*no sound entry in 'images'"):
        open_masks(path).read(bad, (20, 10))


def test_cutler_results(tmp_path):
    reader = open_masks(peer_masks.write_cutler_results(tmp_path, IMAGES))
    assert type(reader).__name__ == "CutlerReader"
    assert [record.image_id for record in reader.records()] == [139, 285]
    found = assert_all_masks(reader)
    assert found[NAMES[0]].scores.tolist() == [0.9, 0.4, 0.7]
    assert found[NAMES[1]].scores.tolist() == [0.9, 0.4]


def test_cutler_self_training(tmp_path):
    reader = open_masks(peer_masks.write_cutler_self_training(tmp_path, IMAGES))
    assert type(reader).__name__ == "CutlerReader"
    found = assert_all_masks(reader)
    assert all(instances.scores is None for instances in found.values())


def test_promerge(tmp_path):
    reader = open_masks(peer_masks.write_promerge(tmp_path, IMAGES))
    assert type(reader).__name__ == "ProMergeReader"
    found = assert_all_masks(reader)
    assert all(instances.scores is None for instances in found.values())


@pytest.mark.parametrize("writer", ["maskcut", "cutler", "cutler self-training", "promerge"])
def test_the_content_counts_and_not_the_name(writer, tmp_path):
    path = peer_masks.WRITERS[writer](tmp_path, IMAGES)
    expected = read_all(open_masks(path))
    for name in ("maskcut", "cutler", "promerge", "coco"):
        for stem, instances in read_all(open_masks(path, name)).items():
            np.testing.assert_array_equal(instances.masks, expected[stem].masks)
            np.testing.assert_array_equal(instances.labels, expected[stem].labels)
            np.testing.assert_array_equal(instances.scores, expected[stem].scores)


def test_coco_annotations(tmp_path):
    """Polygons, uncompressed RLE, a crowd, an object that no pixel shows, and two classes."""
    square, hair = [2, 1, 6, 1, 6, 4, 2, 4], [1, 1, 1, 1, 1, 1]
    runs = {"size": [5, 10], "counts": [0, 5, 45]}
    content = {
        "images": [{"id": 4, "file_name": "a.jpg", "height": 5, "width": 10}, {"id": 5}],
        "categories": [{"id": 1, "name": "person"}, {"id": 90, "name": "toothbrush"}],
        "annotations": [
            {"id": 1, "image_id": 4, "category_id": 1, "iscrowd": 1, "segmentation": runs},
            {"id": 2, "image_id": 4, "category_id": 90, "iscrowd": 0, "segmentation": [square]},
            {"id": 3, "image_id": 4, "category_id": 1, "iscrowd": 0, "segmentation": runs},
            {"id": 4, "image_id": 4, "category_id": 1, "segmentation": [hair]},
        ],
    }
    reader = open_masks(peer_masks.save(tmp_path / "instances.json", content))
    assert type(reader).__name__ == "CocoReader"
    image, bad = reader.records()
    assert (image.image, image.image_id) == ("a.jpg", 4)
    assert "images[1]" in bad.bad
    instances = reader.read(image, (5, 10))
    assert instances.labels.tolist() == [90, 1]
    np.testing.assert_array_equal(
        instances.masks, peer_masks.rectangles((5, 10), (1, 2, 3, 4), (0, 0, 5, 1))
    )
    assert reader.categories == {1: "person", 90: "toothbrush"}


def test_lvis_names_images_by_their_address(tmp_path):
    url = "http://images.cocodataset.org/val2017/000000397133.jpg"
    mask = peer_masks.rectangles((5, 6), (1, 1, 2, 3))[0]
    annotation = {"image_id": 397133, "category_id": 9, "segmentation": peer_masks.rle(mask)}
    content = {"images": [{"id": 397133, "coco_url": url}], "annotations": [annotation]}
    reader = open_masks(peer_masks.save(tmp_path / "lvis.json", content))
    assert reader.records()[0].image == "val2017/000000397133.jpg"


def test_ids_may_be_written_in_several_ways(tmp_path):
    def edit(content):
        content["annotations"][0]["image_id"] = "1"
        content["annotations"][1]["image_id"] = 1.0

    reader = open_masks(change(peer_masks.write_maskcut(tmp_path, IMAGES), edit))
    assert_all_masks(reader)


def test_merged_files_repeat_images(tmp_path):
    path = peer_masks.write_maskcut(tmp_path, IMAGES)
    change(path, lambda content: content["images"].append(content["images"][0]))
    assert_all_masks(open_masks(path))
    change(path, lambda content: content["images"].append({"id": 1, "file_name": "other.jpg"}))
    *_, unclear, cause = open_masks(path).records()
    assert "image id 1: it has no sound entry in 'images'" in unclear.bad
    assert "images[3]: two images have the id 1" in cause.bad


def test_the_rle_must_have_the_size_of_the_image(tmp_path):
    reader = open_masks(peer_masks.write_maskcut(tmp_path, IMAGES))
    with pytest.raises(BadMaskError, match=r"annotations\[0\].*\(12, 17\).*\(17, 12\)"):
        reader.read(reader.records()[0], (17, 12))


DELETED = object()
BAD = {  # changes of a good annotation
    "no object": ("x", "must be an object"),
    "no image": ({"image_id": DELETED}, "image_id must be a whole number or text"),
    "image is true": ({"image_id": True}, "image_id must be a whole number or text"),
    "image is a list": ({"image_id": [1]}, "image_id must be a whole number or text"),
    "no mask": ({"segmentation": DELETED, "score": DELETED}, "no segmentation"),
    "category": ({"category_id": "cat"}, "category_id must be a whole number"),
    "half a category": ({"category_id": 1.5}, "category_id must be a whole number"),
    "large category": ({"category_id": 10**30}, "category_id must be a whole number"),
    "score": ({"score": float("nan")}, "score must be a finite number"),
    "large score": ({"score": 10**400}, "score must be a finite number"),
    "text as score": ({"score": "0.5"}, "score must be a finite number"),
    "size": ({"segmentation": {"size": [10, 10], "counts": [100]}}, r"RLE is for \(10, 10\)"),
    "overrun": ({"segmentation": {"size": [12, 17], "counts": [0, 205]}}, "add up to 205"),
}


@pytest.mark.parametrize("case", BAD)
def test_one_bad_annotation_among_good_ones(case, tmp_path):
    changes, message = BAD[case]

    def edit(content):
        entry = changes
        if isinstance(changes, dict):
            entry = content[0] | changes
            entry = {key: value for key, value in entry.items() if value is not DELETED}
        content.insert(1, entry)

    path = change(peer_masks.write_cutler_results(tmp_path, IMAGES), edit)
    reader = open_masks(path, "cutler")
    causes = [record.bad for record in reader.records() if record.bad]
    found = {}
    for record in reader.records():
        if record.bad is None:
            size = IMAGES[f"{record.image_id:012d}"][0].shape
            found[record.image_id] = reader.read(
                record, size, on_bad=lambda error: causes.append(str(error))
            )
    np.testing.assert_array_equal(found[139].masks, IMAGES[NAMES[0]])
    np.testing.assert_array_equal(found[285].masks, IMAGES[NAMES[1]])
    assert len(causes) == 1
    with pytest.raises(BadMaskError, match=rf"(?s)coco_instances_results.*\[1\].*{message}"):
        for record in reader.records():
            reader.read(record, IMAGES[f"{record.image_id or 139:012d}"][0].shape)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ('{"annotations": [', "not valid JSON"),
        ("[" * 10**5, "not valid JSON"),
        ("\x80", "not valid JSON"),
        ("3", "nor a list of results"),
        ('{"images": []}', "no list 'annotations'"),
        ('{"annotations": {}}', "'annotations' must be a list"),
        ('{"annotations": [], "images": {"id": 1}}', "'images' must be a list"),
    ],
)
def test_malformed_files_name_file_and_cause(text, message, tmp_path):
    path = tmp_path / "masks.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=rf"masks\.json: .*{message}"):
        open_masks(path, "coco")


def test_more_masks_than_memory(tmp_path):
    entry = {"image_id": 1, "segmentation": {"size": [10**4, 10**4], "counts": [10**8]}}
    reader = open_masks(peer_masks.save(tmp_path / "many.json", [entry] * 200))
    with pytest.raises(BadMaskError, match=r"many\.json.*200 masks .* GiB"):
        reader.read(reader.records()[0], (10**4, 10**4))


def test_readers_are_built_from_configs(tmp_path):
    path = peer_masks.write_maskcut(tmp_path, IMAGES)
    reader = MASK_READERS.build({"type": "maskcut", "path": str(path)})
    assert_all_masks(reader)
