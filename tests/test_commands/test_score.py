"""``trace-mm score``: what the files hold is found out, and what does not fit is named."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.touching_squares import (
    SIZE,
    change_json,
    image_name,
    square_edges,
    square_ids,
    write_data,
)
from trace_mm.cli import main
from trace_mm.evaluation import evaluate_instances
from trace_mm.files.panoptic import encode_ids
from trace_mm.files.png import encode_png
from trace_mm.files.shards import ShardWriter

COUNT = 3


@pytest.fixture
def data(tmp_path):
    """Edges, id maps, COCO instances, COCO panoptic maps and COCO results of the same squares."""
    root = write_data(tmp_path / "data", count=COUNT)
    (root / "ids").mkdir()
    (root / "panoptic").mkdir()
    truth = json.loads((root / "instances.json").read_text())
    panoptic = {"images": truth["images"], "annotations": []}
    panoptic["categories"] = [{"id": 1, "name": "square", "isthing": 1}]
    for number in range(1, COUNT + 1):
        name = f"{image_name(number)}.png"
        Image.fromarray(square_ids(number)).save(root / "ids" / name)
        Image.fromarray(encode_ids(square_ids(number))).save(root / "panoptic" / name)
        segments = [{"id": one, "category_id": 1, "iscrowd": 0} for one in (1, 2)]
        annotation = {"image_id": number, "file_name": name, "segments_info": segments}
        panoptic["annotations"].append(annotation)
    (root / "panoptic.json").write_text(json.dumps(panoptic))
    found = [{**one, "score": 1 / one["id"]} for one in truth["annotations"]]
    (root / "results.json").write_text(json.dumps(found))
    return root


@pytest.fixture
def score(tmp_path, capsys):
    """Scores by the command: what is printed, and what is in the file."""

    def call(*words):
        out = tmp_path / "scores.json"
        assert main(["score", *map(str, words), "--out", str(out)]) == 0
        lines = capsys.readouterr().out.splitlines()
        return {line.split()[0]: line.split()[1] for line in lines if line.split()}, json.loads(
            out.read_text()
        )

    return call


@pytest.fixture
def refused(capsys):
    """The error line of a command that fails."""

    def call(*words):
        assert main(["score", *map(str, words)]) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith("trace-mm: error: ")
        return line.removeprefix("trace-mm: error: ")

    return call


@pytest.mark.parametrize("truth", ["ids", "instances.json", "panoptic.json"])
def test_edges_against_any_annotation_without_photos(data, score, truth):
    (data / "photos").rename(data / "away")
    table, content = score(data / "edges", data / truth, "--thin", "--workers", 1)
    assert table["ODS"] == table["clDice"] == "1.0000"
    assert content["ods"] == 1 and content["images"] == COUNT


def test_edges_that_are_not_perfect(data, score):
    """Without one image's edges its borders are missed: recall is what the others have."""
    Image.new("L", SIZE[::-1]).save(data / "edges" / f"{image_name(1)}.png")
    lengths = [square_edges(number).sum() for number in range(1, COUNT + 1)]
    options = ["--thin", "--workers", 1, "--tolerance", 0.02, "--tolerances", 0.05]
    table, content = score(data / "edges", data / "ids", *options)
    assert float(table["recall"]) == pytest.approx(1 - lengths[0] / sum(lengths), abs=1e-4)
    assert float(table["precision"]) == 1 and content["tolerance"] == 0.02
    assert table["ODS@0.05"] == table["ODS"]


def test_edges_in_shards(data, tmp_path, score, refused):
    for shard in range(2):
        with ShardWriter(tmp_path / f"{shard}.tar") as writer:
            for number in (2, 1) if shard else (3,):
                edges = encode_png((square_edges(number) * 255).astype(np.uint8))
                writer.add(f"folder/{image_name(number)}", {"edges.png": edges})
    shards = tmp_path / "{0..1}.tar"
    for truth in ("ids", "instances.json"):
        table, _ = score(shards, data / truth, "--thin", "--workers", 1)
        assert table["ODS"] == "1.0000"
    _, content = score(tmp_path / "1.tar", data / "ids", "--workers", 1, "--partial")
    assert content["images"] == 2
    assert f"1.tar: no edge map of {image_name(3)}; 1 of 3" in refused(
        tmp_path / "1.tar", data / "ids", "--workers", 1
    )
    for number in range(1, COUNT + 1):
        name = f"{image_name(number)}.png"
        (data / "ids" / name).rename(data / "ids" / f"other{number}.png")
    line = refused(shards, data / "ids", "--workers", 1)
    assert "of none of the 3 images, such as other1; its samples are called like 'folder/" in line


def test_edges_of_a_part_of_the_images(data, score, refused):
    (data / "edges" / f"{image_name(2)}.png").unlink()
    line = refused(data / "edges", data / "ids", "--workers", 1)
    assert f"{image_name(2)}.png: no such edge map" in line and "1 of 3 annotated images" in line
    _, content = score(data / "edges", data / "ids", "--workers", 1, "--partial")
    assert content["images"] == 2


def test_edges_that_do_not_fit(data, refused):
    Image.new("L", (8, 8)).save(data / "edges" / f"{image_name(2)}.png")
    line = refused(data / "edges", data / "instances.json", "--workers", 1)
    assert f"{image_name(2)}.png: edge map is (8, 8) (H, W), but the image is {SIZE}" in line
    for path in sorted((data / "edges").iterdir()):
        path.rename(path.with_name(f"x{path.name}"))
    assert "holds an edge map of none of the 3 images" in refused(data / "edges", data / "ids")


def test_masks(data, score):
    """Half of the detections are missing; the rest is as evaluate_instances says."""
    change_json(data / "results.json", lambda found: found.__delitem__(slice(1, None, 2)))
    table, content = score(data / "results.json", data / "instances.json")
    expected = evaluate_instances(data / "instances.json", data / "results.json")
    assert content["AP"] == expected.ap and content["AR100"] == expected.ar[100] == 0.5
    assert table["AP"] == f"{expected.ap:.4f}" and content["detections"] == COUNT
    _, content = score(
        data / "results.json", data / "instances.json", "--boxes", "--max-detections", 1, 5
    )
    assert content["iou_type"] == "bbox" and content["AR5"] == 0.5


def test_masks_of_images_with_other_ids(data, score, refused, capsys):
    """Images are recognised by their names, wherever a file has them."""

    def renumber(content):
        content["images"].append({"id": 99, "file_name": "more.jpg", "height": 8, "width": 8})
        for image in content["images"]:
            image["id"] = 10 - image["id"]
            image["file_name"] = f"folder\\{image['file_name'].replace('.png', '.jpg')}"
        for annotation in content["annotations"]:
            annotation["image_id"] = 10 - annotation["image_id"]
            annotation["score"] = 0.5

    result = data / "renumbered.json"
    result.write_text((data / "instances.json").read_text())
    change_json(result, renumber)
    assert main(["score", str(result), str(data / "instances.json")]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0].split() == ["AP", "1.0000"]
    assert "1 of 4 images of" in captured.err and "not scored" in captured.err

    change_json(
        result,
        lambda content: [one.update(file_name=f"{one['id']}.jpg") for one in content["images"]],
    )
    assert "no image has a name as in" in refused(result, data / "instances.json")
    change_json(
        result, lambda content: [one.update(file_name="a.jpg") for one in content["images"]]
    )
    assert f"{result}: two images have the same name" in refused(result, data / "instances.json")


def test_masks_of_a_part_of_the_images(data, score):
    change_json(data / "results.json", lambda found: found.__delitem__(slice(2, None)))
    _, content = score(data / "results.json", data / "instances.json")
    assert content["AR100"] == pytest.approx(1 / COUNT)
    _, content = score(data / "results.json", data / "instances.json", "--partial")
    assert content["AR100"] == 1 and content["images"] == 1


def test_no_masks_at_all(data, score):
    (data / "results.json").write_text("[]")
    _, content = score(data / "results.json", data / "instances.json")
    assert content["AP"] == 0 and content["instances"] == 2 * COUNT


def test_panoptic_maps(data, score):
    table, content = score(data / "panoptic.json", data / "panoptic.json", "--by-category")
    assert table["all"] == table["things"] == table["square"] == "100.00"
    assert content["categories"][0]["true_positives"] == 2 * COUNT
    (data / "panoptic").rename(data / "maps")
    folders = ["--truth-folder", data / "maps", "--result-folder", data / "maps"]
    table, _ = score(data / "panoptic.json", data / "panoptic.json", "--workers", 0, *folders)
    assert table["all"] == "100.00"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["results.json", "panoptic.json"], "holds instance masks, which are scored against"),
        (["panoptic.json", "instances.json"], "instances.json is or holds instance masks"),
        (["results.json", "ids"], "but {data}/ids is or holds a folder of annotations"),
        (["", "ids"], "name the file in it that is meant: panoptic.json or instances.json"),
        (["none.json", "ids"], "none.json: no such"),
        (["edges", "none"], "none: no such"),
        (["none", "ids"], "none: no such"),
        (["edges/000000000001.png", "ids"], "000000000001.png: what it holds is unclear"),
        (["strange.json", "instances.json"], "it has no list 'annotations'"),
        (["bare.json", "instances.json"], "has neither segmentation, bbox nor segments_info"),
        (["results.json", "empty.json"], "empty.json: there is no annotation in it"),
        (["results.json", "instances.json", "--tolerance", "0.1"], "--tolerance has no effect"),
        (["edges", "ids", "--boxes"], "holds edge maps: --boxes has no effect"),
        (["edges", "instances.json", "--void", "0"], "void has no effect on instances"),
        (["edges", "ids", "--truth-folder", "x"], "a folder of PNGs has no effect"),
        (["results.json", "instances.json", "--out", "{data}/results.json"], "onto"),
    ],
)
def test_what_does_not_fit(data, refused, words, told):
    (data / "strange.json").write_text('{"a": 1}')
    (data / "bare.json").write_text('[{"image_id": 1}]')
    (data / "empty.json").write_text('{"images": [], "annotations": []}')
    places = [data / word for word in words[:2]]
    others = [word.format(data=data) for word in words[2:]]
    assert told.format(data=data) in refused(*places, *others)


@pytest.mark.parametrize("option", ["--tolerance", "--tolerances"])
@pytest.mark.parametrize("value", ["0", "1"])
def test_a_tolerance_is_a_fraction(data, refused, option, value):
    told = refused(data / "edges", data / "ids", option, value)
    assert told.startswith("a tolerance is a fraction of the diagonal")


def test_masks_with_classes_and_image_by_image(data, score, refused):
    """Names of classes belong together, whatever their ids."""
    truth = json.loads((data / "instances.json").read_text())
    name = truth["categories"][0]["name"]
    found = {
        **truth,
        "annotations": [{**one, "score": 0.5, "category_id": 9} for one in truth["annotations"]],
        "categories": [{"id": 9, "name": name}, {"id": 1, "name": "other"}],
    }
    (data / "found.json").write_text(json.dumps(found))
    table, content = score(data / "found.json", data / "instances.json", "--classes", "--image-pq")
    assert table["class_AP"] == table["image_PQ"] == "1.0000"
    assert content["by_class"] == {name: 1.0} and content["image_PQ_images"] == COUNT
    for one in found["annotations"]:
        one["category_id"] = 1
    (data / "found.json").write_text(json.dumps(found))
    line = refused(data / "found.json", data / "instances.json", "--classes")
    assert f"of categories that {data / 'instances.json'} does not have" in line


def test_panoptic_maps_image_by_image(data, score, refused):
    table, content = score(data / "panoptic.json", data / "panoptic.json", "--image-pq")
    assert table["image_PQ"] == "1.0000" and content["image_PQ"] == 1 and content["PQ"] == 100
    line = refused(data / "edges", data / "instances.json", "--image-pq")
    assert "--image-pq has no effect" in line
