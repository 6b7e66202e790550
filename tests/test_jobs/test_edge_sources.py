"""Edges of images: from a function, a registered model, or a folder."""

import copy
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.touching_squares import SIZE, image_name, square_edges, write_edges, write_image
from trace_mm.apis import expand_inputs, run_folder
from trace_mm.files import load_image
from trace_mm.jobs.edge_sources import (
    EdgeModel,
    ImagePredictions,
    NamedImage,
    PredictedEdges,
    StoredEdges,
    edge_source_of,
)
from trace_mm.models import CannyDetector
from trace_mm.models.identity import RESULTS
from trace_mm.runs.executors import LocalExecutor
from trace_mm.structures import EdgeDataSample


def named(name, size=SIZE):
    return NamedImage(name, np.zeros((*size, 3), dtype=np.float32))


def test_of_a_function():
    def red(images):
        return [
            EdgeDataSample(pred_edges=torch.from_numpy(image[..., 0]).double()) for image in images
        ]

    images = [NamedImage(name, np.random.default_rng(3).random((4, 5, 3))) for name in "ab"]
    source = PredictedEdges(red, {"seed": 3})
    edges = source(images)
    assert [lines.dtype for lines in edges] == [np.float32, np.float32]
    np.testing.assert_allclose(edges[1], images[1].pixels[..., 0], rtol=1e-6)
    assert source.settings() == {"seed": 3}


def test_of_a_model(tmp_path):
    pixels = load_image(write_image(tmp_path, 1))
    source = EdgeModel({"type": "CannyDetector", "levels": 9}, "cpu")
    (edges,) = source([NamedImage("a.png", pixels)])
    np.testing.assert_array_equal(edges, CannyDetector(levels=9).detect(pixels))
    assert edges.max() > 0.5
    assert source.settings() == {
        "results": RESULTS,
        "model": "CannyDetector",
        "device": "cpu",
        "levels": 9,
        "sigma": 2.0,
        "low_ratio": 0.4,
        "color": True,
    }
    assert source.folders() == [] and source.state("a.png") == ""


def test_of_a_model_that_looks_up_names(tmp_path):
    write_edges(tmp_path, 1)
    source = edge_source_of({"type": "EdgeFolder", "folder": str(tmp_path)})
    (edges,) = source([named(f"sub/{image_name(1)}.jpg")])
    np.testing.assert_array_equal(edges, square_edges(1))
    with pytest.raises(ValueError, match=r"b\.png: no such edge map"):
        source([named("b.jpg")])


def test_of_a_folder(tmp_path):
    write_edges(tmp_path, 1)
    np.save(tmp_path / "b.npy", square_edges(2))
    edges = StoredEdges(tmp_path)([named(f"{image_name(1)}.jpg"), named("b.jpg")])
    np.testing.assert_array_equal(edges, [square_edges(1), square_edges(2)])


def test_a_folder_is_the_same_from_anywhere(tmp_path, monkeypatch):
    write_edges(tmp_path / "edges", 1)
    monkeypatch.chdir(tmp_path)
    assert StoredEdges(Path("edges")).settings() == StoredEdges(tmp_path / "edges").settings()


def test_errors_of_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        StoredEdges(tmp_path / "nowhere")
    write_edges(tmp_path, 1)
    source = StoredEdges(tmp_path)
    with pytest.raises(ValueError, match=r"sub/b\.png: no such edge map"):
        source([named("sub/b.jpg")])
    with pytest.raises(ValueError, match=r"\(32, 40\).*image is \(5, 4\)"):
        source([named(f"{image_name(1)}.jpg", (5, 4))])


def test_the_state_of_an_image_changes_with_its_edges(tmp_path):
    source = StoredEdges(tmp_path)
    name = f"{image_name(1)}.jpg"
    assert source.state(name) == ""
    write_edges(tmp_path, 1)
    before = source.state(name)
    assert before == source.state(name) != ""
    os.utime(tmp_path / f"{image_name(1)}.png", (1, 1))
    assert source.state(name) != before
    assert PredictedEdges(list, {}).state(name) == ""


@pytest.mark.parametrize("kind", ["stored", "model"])
def test_two_images_do_not_share_one_edge_map(tmp_path, kind):
    write_edges(tmp_path, 1)
    first, second = (f"{folder}/{image_name(1)}.jpg" for folder in ("first", "second"))

    def open_source():
        if kind == "stored":
            return StoredEdges(tmp_path)
        return edge_source_of({"type": "EdgeFolder", "folder": str(tmp_path)})

    for names, others in (([first, second], []), ([second], [first])):
        with pytest.raises(ValueError, match="may be the edge map of") as error:
            open_source().expect(names, others)
        assert first in str(error.value) and second in str(error.value)
    source = open_source()  # also where nobody says which images there are
    source([named(first)])
    with pytest.raises(ValueError, match="may be the edge map"):
        source([named(second)])


def test_a_model_that_looks_up_names_says_when_a_map_changes(tmp_path):
    path = write_edges(tmp_path, 1)
    source = edge_source_of({"type": "EdgeFolder", "folder": str(tmp_path)})
    source.expect([path.name])
    before = source.state(path.name)
    os.utime(path, (1, 1))
    assert "" != before != source.state(path.name)


def test_a_folder_of_maps_with_dark_edges(tmp_path):
    write_edges(tmp_path, 1)
    config = {"type": "EdgeFolder", "folder": str(tmp_path), "invert": True}
    source = edge_source_of(config)
    (edges,) = source([named(f"{image_name(1)}.jpg")])
    np.testing.assert_array_equal(edges, 1 - square_edges(1))
    assert source.settings() != StoredEdges(tmp_path).settings()
    assert source.on("cuda:7") is source
    with pytest.raises(ValueError, match=r"cannot build the model: .*colour"):
        edge_source_of({**config, "colour": 3})


def test_a_model_is_loaded_when_it_is_needed_and_never_pickled(flow_folder):
    config = {"type": "TraceTeacher", "backbone": {"pretrained": str(flow_folder)}, "timestep": 100}
    source = EdgeModel(config, "cpu")
    assert source._model is None and not source.uses_accelerator
    data = pickle.dumps(source)
    image = NamedImage("sub/a.png", np.random.default_rng(0).random((20, 30, 3), np.float32))
    (sample,) = source.predict([image])
    assert source.model is source.model is not None
    assert (sample.image_id, sample.img_path) == ("sub/a", "sub/a.png")
    assert len(pickle.dumps(source)) == len(data) < 10_000
    other = pickle.loads(data)
    assert other._model is None and other.settings() == source.settings()
    np.testing.assert_array_equal(other([image])[0], sample.pred_edges.numpy())
    assert source.on("cpu")._model is None and source.on("cpu").settings() == source.settings()


def test_what_is_wrong_with_a_model_is_found_before_it_is_loaded(flow_folder, tmp_path):
    backbone = {"pretrained": str(flow_folder)}
    for config, message in (
        ({"type": "SobelDetector", "levels": 3}, "SobelDetector has no option levels"),
        ({"type": "NoSuchModel"}, "NoSuchModel is not in the registry"),
        ({"type": "TraceTeacher", "backbone": backbone, "timestep": 1000}, r"in \[0, 1000\)"),
        ({"type": "TraceTeacher", "backbone": backbone, "region_cell": 0}, "at least 1"),
        ({"type": "TraceTeacher", "backbone": {**backbone, "layer": "x"}}, "has no option layer"),
    ):
        with pytest.raises(ValueError, match=message):
            EdgeModel(config, "cpu")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        EdgeModel({"type": "TraceTeacher", "backbone": {"pretrained": "nowhere"}}, "cpu")
    with pytest.raises(FileNotFoundError, match=r"a\.pth"):
        checkpoint = str(tmp_path / "a.pth")
        EdgeModel({"type": "TraceStudent", "checkpoint": checkpoint, "backbone": backbone}, "cpu")
    with pytest.raises(ValueError, match="device cuda:99 asked for"):
        EdgeModel({"type": "SobelDetector"}, "cuda:99")


def test_a_run_may_go_on_on_another_gpu():
    model = EdgeModel({"type": "SobelDetector"}, "cpu")
    settings = []
    for number in (0, 1):
        other = copy.copy(model)
        other.device = torch.device(f"cuda:{number}")
        settings.append(other.settings())
    assert settings[0] == settings[1] == {**model.settings(), "device": "cuda"}


class Unbuildable(torch.nn.Module):
    """A model whose checkpoint does not fit, as is found once it is loaded."""

    def __init__(self):
        raise ValueError("the checkpoint does not fit")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_model_that_cannot_be_loaded_is_no_images_fault(tmp_path, workers):
    write_image(tmp_path / "photos", 0)
    model = EdgeModel({"type": Unbuildable})
    with pytest.raises(ValueError, match="the checkpoint does not fit"):
        run_folder(
            ImagePredictions(model),
            expand_inputs(tmp_path / "photos"),
            tmp_path / "out",
            settings=model.settings(),
            executor=LocalExecutor(workers),
        )
    assert "does not fit" not in (tmp_path / "out/manifest.jsonl").read_text()
