"""What images, ids and edges a refinement takes, beyond the plain case."""

import json

import numpy as np
import pytest
from PIL import Image

from trace_mm.apis.refine_masks import refine_masks
from trace_mm.files.coco import instance_annotation
from trace_mm.jobs.edge_sources import PredictedEdges, StoredEdges
from trace_mm.refinement import BoundaryGuidedPropagation

TURNED = 6  # EXIF orientation of a camera that was held upright


def write_turned_photo(folder):
    """A photo of 20 x 30 pixels (H, W) that is 30 x 20 when turned as EXIF says."""
    folder.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = TURNED
    Image.new("RGB", (30, 20), "gray").save(folder / "photo.png", exif=exif)


def write_masks(path, size, **image):
    mask = np.zeros(size, dtype=bool)
    mask[4:16, 4:16] = True
    content = {
        "images": [{"id": 7, "file_name": "photo.png", **image}],
        "annotations": [{"id": 1, "image_id": 7, **instance_annotation(mask)}],
        "categories": [{"id": 1, "name": "object"}],
    }
    path.write_text(json.dumps(content), encoding="utf-8")


def no_edges(images):
    return [EdgeMap(np.zeros(image.shape[:2], dtype=np.float32)) for image in images]


class EdgeMap:
    """As much of a data sample as is read of a prediction."""

    def __init__(self, edges):
        self.pred_edges = self
        self.edges = edges

    def detach(self):
        return self

    cpu = float = detach

    def numpy(self):
        return self.edges


def refine(folder, out, predict=no_edges, **options):
    edges = PredictedEdges(predict, {"edges": (1, 2)})
    refiner = BoundaryGuidedPropagation(steps=4)
    return refine_masks(
        folder / "masks.json",
        folder / "photos",
        out,
        edges,
        refiner,
        show_progress=False,
        **options,
    )


@pytest.mark.parametrize("size", [(30, 20), (20, 30)])
def test_a_turned_photo_is_seen_as_its_masks_are(tmp_path, size):
    write_turned_photo(tmp_path / "photos")
    write_masks(tmp_path / "masks.json", size)

    assert refine(tmp_path, tmp_path / "out.json").masks == 1

    image = json.loads((tmp_path / "out.json").read_text())["images"][0]
    assert (image["height"], image["width"]) == size


def test_settings_that_json_changes_do_not_stop_a_second_run(tmp_path):
    write_turned_photo(tmp_path / "photos")
    write_masks(tmp_path / "masks.json", (20, 30))

    first = refine(tmp_path, tmp_path / "out.json")

    again = refine(tmp_path, tmp_path / "out.json")
    assert (again.skipped, again.masks, again.failed) == (first.done, first.masks, {})


def test_ids_are_those_of_the_annotations_whatever_folders_they_name(tmp_path):
    write_turned_photo(tmp_path / "photos")
    write_masks(tmp_path / "masks.json", (20, 30))
    listed = {"images": [{"id": 123, "file_name": "train2017/photo.png"}]}
    (tmp_path / "truth.json").write_text(json.dumps(listed))

    refine(tmp_path, tmp_path / "out.json", annotations=tmp_path / "truth.json")

    content = json.loads((tmp_path / "out.json").read_text())
    assert [image["id"] for image in content["images"]] == [123]
    assert content["annotations"][0]["image_id"] == 123


def test_an_image_that_the_annotations_do_not_list_is_an_error(tmp_path):
    write_turned_photo(tmp_path / "photos")
    write_masks(tmp_path / "masks.json", (20, 30))
    (tmp_path / "truth.json").write_text(json.dumps({"images": []}))

    with pytest.raises(ValueError, match=r"photo\.png: the COCO file of annotations lists no such"):
        refine(tmp_path, tmp_path / "out.json", annotations=tmp_path / "truth.json")


def test_edges_that_are_no_numbers_fail_their_image_only(tmp_path):
    write_turned_photo(tmp_path / "photos")
    write_masks(tmp_path / "masks.json", (20, 30))

    def broken(images):
        return [EdgeMap(np.full(image.shape[:2], np.nan, np.float32)) for image in images]

    summary = refine(tmp_path, tmp_path / "out.json", broken)

    assert "in [0, 1]" in summary.failed["photo.png"]


def test_results_are_not_written_among_what_is_read(tmp_path):
    write_turned_photo(tmp_path / "photos")
    write_masks(tmp_path / "masks.json", (20, 30))

    with pytest.raises(ValueError, match="which is read: write elsewhere"):
        refine(tmp_path, tmp_path / "photos" / "out.json")
    with pytest.raises(ValueError, match="which is read: write elsewhere"):
        refine(tmp_path, tmp_path / "out.json", show_dir=tmp_path / "photos" / "show")
    with pytest.raises(ValueError, match="is a folder; name a file"):
        refine(tmp_path, tmp_path / "photos")


def test_images_of_one_name_do_not_share_edges_in_any_run(tmp_path):
    """Neither at once, nor after a run in which one of them was done."""
    for folder in ("x", "y"):
        write_turned_photo(tmp_path / "photos" / folder)
    write_masks(tmp_path / "masks.json", (20, 30), file_name="x/photo.png")
    (tmp_path / "edges" / "x").mkdir(parents=True)
    Image.new("L", (30, 20)).save(tmp_path / "edges" / "x" / "photo.png")

    def run():
        edges, refiner = StoredEdges(tmp_path / "edges"), BoundaryGuidedPropagation(steps=4)
        masks, photos, out = (tmp_path / name for name in ("masks.json", "photos", "out.json"))
        return refine_masks(masks, photos, out, edges, refiner, show_progress=False)

    assert run().masks == 1
    (tmp_path / "edges" / "x" / "photo.png").rename(tmp_path / "edges" / "photo.png")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"of x/photo\.png or of y/photo\.png"):
            run()


def test_edges_that_arrive_later_are_used_and_changed_ones_too(tmp_path):
    write_turned_photo(tmp_path / "photos")
    write_masks(tmp_path / "masks.json", (20, 30))
    (tmp_path / "edges").mkdir()
    out = tmp_path / "out.json"

    def run():
        refiner = BoundaryGuidedPropagation(steps=4)
        edges = StoredEdges(tmp_path / "edges")
        masks, photos = tmp_path / "masks.json", tmp_path / "photos"
        return refine_masks(masks, photos, out, edges, refiner, show_progress=False)

    with pytest.raises(FileNotFoundError, match="an edge map of none of the 1 images"):
        run()
    Image.new("L", (30, 20)).save(tmp_path / "edges" / "photo.png")
    assert run().masks == 1
    line = np.zeros((20, 30), dtype=np.uint8)
    line[3:17, [3, 10, 16]] = line[[3, 16], 3:17] = 255  # around each half of the mask
    Image.fromarray(line).save(tmp_path / "edges" / "photo.png")
    assert run().masks == 2


@pytest.mark.parametrize("what", ["edges", "masks", "annotations", "picture folder", "PNGs"])
def test_nothing_that_is_read_is_written_onto(tmp_path, what):
    write_turned_photo(tmp_path / "photos")
    write_masks(tmp_path / "masks.json", (20, 30))
    (tmp_path / "edges").mkdir()
    Image.new("L", (30, 20), 7).save(tmp_path / "edges" / "photo.png")
    options = {"show_dir": tmp_path / "pictures", "annotations": tmp_path / "masks.json"}
    masks, out = tmp_path / "masks.json", tmp_path / "out.json"
    if what in ("masks", "annotations"):
        out = masks
        masks = masks if what == "masks" else tmp_path / "edges"
    elif what == "PNGs":  # of a panoptic file
        masks = tmp_path / "panoptic.json"
        Image.new("RGB", (30, 20), (1, 0, 0)).save(tmp_path / "edges" / "photo.png")
        segments = [{"id": 1, "category_id": 1}]
        record = {"image_id": 7, "file_name": "photo.png", "segments_info": segments}
        images, categories = [{"id": 7, "file_name": "photo.png"}], [{"id": 1, "isthing": 1}]
        content = {"images": images, "annotations": [record], "categories": categories}
        masks.write_text(json.dumps(content))
        (tmp_path / "edges").rename(tmp_path / "panoptic")
        (tmp_path / "edges").mkdir()
        options["show_dir"] = tmp_path / "panoptic"
    else:
        options["show_dir"] = tmp_path if what == "picture folder" else tmp_path / "edges"
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    refiner, edges = BoundaryGuidedPropagation(steps=4), StoredEdges(tmp_path / "edges")
    with pytest.raises(ValueError, match="which is read"):
        refine_masks(
            masks, tmp_path / "photos", out, edges, refiner, show_progress=False, **options
        )
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_pictures_are_called_like_their_images(tmp_path):
    (tmp_path / "photos").mkdir()
    names = ["a.jpg", "a.png", "b.jpg"]
    images, annotations = [], []
    mask = np.zeros((20, 30), dtype=bool)
    mask[4:16, 4:16] = True
    for number, name in enumerate(names, start=1):
        Image.new("RGB", (30, 20), "gray").save(tmp_path / "photos" / name)
        images.append({"id": number, "file_name": name})
        annotations.append({"id": number, "image_id": number, **instance_annotation(mask)})
    categories = [{"id": 1, "name": "object"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "masks.json").write_text(json.dumps(content))
    for _ in range(2):  # a second run finds them all
        refine(tmp_path, tmp_path / "out.json", show_dir=tmp_path / "pictures")
        found = sorted(path.name for path in (tmp_path / "pictures").iterdir())
        assert found == ["a.jpg.png", "a.png.png", "b.png"]
