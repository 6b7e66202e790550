"""What a refinement leaves out, and that it says so: crowds, images without masks, other images."""

import json

import numpy as np
import pytest
from PIL import Image

from tests import peer_masks
from tests.touching_squares import SIZE, change_json, image_name, overlap, square_ids, write_data
from trace_mm.cli import main

NAMES = [f"{image_name(number)}.png" for number in (1, 2)]


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data", count=2)


def refine(data, out, *options, masks="masks.json"):
    arguments = ["--masks", data / masks, "--images", data / "photos", "--edges", data / "edges"]
    return main(["refine", *map(str, [*arguments, "--out", out, *options])])


def mark_as_crowds(path, count=None):
    change_json(
        path, lambda content: [one.update(iscrowd=1) for one in content["annotations"][:count]]
    )


def test_masks_that_are_all_marked_as_crowds_are_refined(data, tmp_path, capsys):
    mark_as_crowds(data / "masks.json")
    assert refine(data, tmp_path / "refined.json") == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("4 masks of 2 images")
    assert "all 2 annotations are marked as crowds (iscrowd 1)" in captured.err
    assert "--crowds skip" in captured.err


def test_some_crowds_are_left_out_with_a_word(data, tmp_path, capsys):
    mark_as_crowds(data / "masks.json", count=1)
    assert refine(data, tmp_path / "refined.json") == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("2 masks of 2 images, 0 images failed, 0 bad masks")
    assert "1 images without masks" in captured.out
    assert "1 of 2 annotations are crowds (iscrowd 1)" in captured.err
    assert "--crowds keep takes them as masks" in captured.err
    assert refine(data, tmp_path / "kept.json", "--crowds", "keep") == 0
    assert capsys.readouterr().out.startswith("4 masks of 2 images")


def test_all_crowds_left_out_is_an_error(data, tmp_path, capsys):
    mark_as_crowds(data / "masks.json")
    assert refine(data, tmp_path / "refined.json", "--crowds", "skip") == 2
    assert "2 of 2 annotations are crowds" in capsys.readouterr().err
    assert not (tmp_path / "refined.json").exists()


@pytest.mark.parametrize(
    ("options", "masks"), [([], 4), (["--crowds", "keep"], 4), (["--crowds", "skip"], 0)]
)
def test_crowds_of_panoptic_files(data, tmp_path, capsys, options, masks):
    found = {image_name(n): (square_ids(n) > 0)[None] for n in (1, 2)}
    path = peer_masks.write_u2seg(data, found)

    def edit(content):
        for annotation in content["annotations"]:
            annotation["segments_info"][0]["iscrowd"] = "1"

    change_json(path, edit)
    assert refine(data, tmp_path / "refined.json", *options, masks=path.name) == (0 if masks else 2)
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{masks} masks" if masks else "")
    said = "2 of 2 segments of things are crowds" in captured.err
    assert said == (options != ["--crowds", "keep"])


def test_images_without_masks_stay_in_the_file(data, tmp_path, capsys):
    change_json(data / "masks.json", lambda content: content["annotations"].pop())
    (data / "edges" / NAMES[1]).unlink()  # nothing to refine, so no edges are needed
    Image.new("RGB", SIZE[::-1]).save(data / "photos" / "other.png")
    out = tmp_path / "refined.json"
    for _ in range(2):
        assert refine(data, out) == 0
        line = capsys.readouterr().out.splitlines()[0]
        assert line == (
            "2 masks of 2 images, 0 images failed, 0 bad masks or records left out, 1 images "
            f"without masks, 1 images in the folder that the masks do not mention: {out}"
        )
    content = json.loads(out.read_text())
    listed = [(one["id"], one["file_name"]) for one in content["images"]]
    assert listed == [(1, NAMES[0]), (2, NAMES[1])]
    assert (content["images"][1]["height"], content["images"][1]["width"]) == SIZE
    assert {one["image_id"] for one in content["annotations"]} == {1}


def test_images_without_masks_need_not_be_there(data, tmp_path, capsys):
    change_json(data / "masks.json", lambda content: content["annotations"].pop())
    (data / "photos" / NAMES[1]).unlink()
    assert refine(data, tmp_path / "refined.json") == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("2 masks of 1 images")
    assert "1 images that it lists without masks are not in" in captured.err


def test_images_without_masks_have_pictures_too(data, tmp_path):
    change_json(data / "masks.json", lambda content: content["annotations"].pop())
    assert refine(data, tmp_path / "refined.json", "--show-dir", tmp_path / "pictures") == 0
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == NAMES


def test_nothing_that_can_be_used_is_an_error(data, tmp_path, capsys):
    change_json(
        data / "masks.json",
        lambda content: [one.update(segmentation=7) for one in content["annotations"]],
    )
    assert refine(data, tmp_path / "refined.json", "--skip-bad") == 2
    error = capsys.readouterr().err
    assert "all masks were left out as bad; the first: " in error
    assert not (tmp_path / "refined.json").exists()
    peer_masks.save(data / "none.json", [])
    assert refine(data, tmp_path / "refined.json", masks="none.json") == 2
    assert "none.json: there are no masks in it" in capsys.readouterr().err


def test_records_of_another_folder(data, tmp_path, capsys):
    for number in (1, 2, 3):
        change_json(
            data / "masks.json",
            lambda content, number=number: content["images"].append(
                {"id": 70 + number, "file_name": f"{number}9.jpg"}
            ),
        )
        change_json(
            data / "masks.json",
            lambda content, number=number: content["annotations"].append(
                {**content["annotations"][0], "image_id": 70 + number}
            ),
        )
    assert refine(data, tmp_path / "refined.json", "--skip-bad") == 0
    captured = capsys.readouterr()
    assert "3 of 5 records have no image in" in captured.err
    assert "--annotations tells the names of ids" in captured.err
    for name in NAMES:
        (data / "photos" / name).rename(data / "photos" / f"x{name}")
    assert refine(data, tmp_path / "other.json", "--skip-bad") == 2
    assert "none of its 5 records with masks can be used" in capsys.readouterr().err


def test_names_of_cityscapes_scripts(data, tmp_path):
    """Its panoptic file calls photos otherwise than they are called; ids are text."""
    city = "aachen_000000_000019"
    for folder in ("photos", "edges"):
        (data / folder / NAMES[1]).unlink()
        (data / folder / NAMES[0]).rename(data / folder / f"{city}_leftImg8bit.png")
    ids = np.where(square_ids(1) > 0, 70001, 0)
    peer_masks.save_colors(data / "panoptic" / f"{city}_gtFine_panoptic.png", ids)
    content = {
        "images": [{"id": city, "file_name": f"{city}_gtFine_leftImg8bit.png"}],
        "annotations": [
            {
                "image_id": city,
                "file_name": f"{city}_gtFine_panoptic.png",
                "segments_info": [{"id": 70001, "category_id": 26, "iscrowd": 0}],
            }
        ],
        "categories": [{"id": 26, "name": "car", "isthing": 1}],
    }
    peer_masks.save(data / "panoptic.json", content)
    out = tmp_path / "refined.json"
    assert refine(data, out, masks="panoptic.json") == 0
    refined = json.loads(out.read_text())
    assert [one["file_name"] for one in refined["images"]] == [f"{city}_leftImg8bit.png"]
    assert [one["category_id"] for one in refined["annotations"]] == [26, 26]
    found = [peer_masks.mask_utils.decode(one["segmentation"]) for one in refined["annotations"]]
    for value in (1, 2):
        assert max(overlap(mask > 0, square_ids(1) == value) for mask in found) > 0.9
