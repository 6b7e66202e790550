"""A photo is refined in the orientation that its masks are in."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.test_apis.test_refine_masks_inputs import refine, write_masks, write_turned_photo
from trace_mm.apis.refine_masks import refine_masks
from trace_mm.files.coco import instance_annotation
from trace_mm.jobs.edge_sources import StoredEdges
from trace_mm.refinement import BoundaryGuidedPropagation


def write_stored(path, segmentations, stated=(20, 30)):
    content = {
        "images": [{"id": 7, "file_name": "photo.png", "height": stated[0], "width": stated[1]}],
        "annotations": [
            {"id": number, "image_id": 7, "category_id": 1, "segmentation": segmentation}
            for number, segmentation in enumerate(segmentations)
        ],
        "categories": [{"id": 1, "name": "object"}],
    }
    path.write_text(json.dumps(content), encoding="utf-8")


def test_polygons_on_stored_pixels_are_not_cut_off(tmp_path, capsys):
    write_turned_photo(tmp_path / "photos")
    write_stored(tmp_path / "masks.json", [[[14, 4, 27, 4, 27, 16, 14, 16]]])  # upright is 20 wide

    summary = refine(tmp_path, tmp_path / "out.json")

    content = json.loads((tmp_path / "out.json").read_text())
    assert (content["images"][0]["height"], content["images"][0]["width"]) == (20, 30)
    boxes = [annotation["bbox"] for annotation in content["annotations"]]
    assert max(left + width for left, _, width, _ in boxes) >= 27
    assert "photo.png: the annotation fits the pixels as they are stored" in capsys.readouterr().err
    assert "only fit the stored pixels: 1, not turned (photo.png)" in summary.remarks[0]
    again = refine(tmp_path, tmp_path / "out.json")
    assert (again.skipped, again.remarks) == (summary.done, summary.remarks)  # nothing is left


def test_one_damaged_mask_of_a_turned_photo_is_the_only_one_that_is_left_out(tmp_path):
    write_turned_photo(tmp_path / "photos")
    mask = np.zeros((30, 20), dtype=bool)
    mask[4:16, 4:16] = True
    sound = instance_annotation(mask)["segmentation"]
    write_stored(tmp_path / "masks.json", [sound, {**sound, "counts": "000"}, sound], (30, 20))

    with pytest.raises(ValueError, match=r"annotations\[1\]: RLE is damaged"):
        refine(tmp_path, tmp_path / "first.json")
    summary = refine(tmp_path, tmp_path / "out.json", skip_bad=True)

    assert [len(notes) for notes in summary.notes.values()] == [1]
    image = json.loads((tmp_path / "out.json").read_text())["images"][0]
    assert (image["height"], image["width"]) == (30, 20)


@pytest.mark.parametrize("masks", [(30, 20), (20, 30)])
@pytest.mark.parametrize("edges", [(30, 20), (20, 30)])
def test_stored_edges_of_either_orientation_are_found(tmp_path, masks, edges):
    """Those of trace-mm edges are upright; other programs turn no photo."""
    write_turned_photo(tmp_path / "photos")
    write_masks(tmp_path / "masks.json", masks)
    (tmp_path / "edges").mkdir()
    line = np.zeros((20, 30), dtype=np.uint8)
    line[:, 10] = 255  # of the stored pixels; it parts the mask, or the turned one
    line = line if edges == (20, 30) else np.rot90(line, -1)
    Image.fromarray(np.ascontiguousarray(line)).save(tmp_path / "edges" / "photo.png")

    refiner = BoundaryGuidedPropagation(steps=4)
    source = StoredEdges(tmp_path / "edges")
    paths = tmp_path / "masks.json", tmp_path / "photos", tmp_path / "out.json"
    refine_masks(*paths, source, refiner, show_progress=False)

    boxes = [one["bbox"] for one in json.loads(paths[2].read_text())["annotations"]]
    along = 0 if masks == (20, 30) else 1  # x or y, across the line
    first, second = sorted(boxes, key=lambda box: box[along])
    assert first[along] + first[along + 2] == second[along] == 11
