"""One word says where edges come from: a student, a backbone, a config, or a folder of maps."""

import cv2
import numpy as np
import pytest
import torch

from trace_mm.jobs.edge_sources import EdgeModel, StoredEdges, edge_source_of
from trace_mm.models import CannyDetector, EdgeFolder, TraceStudent
from trace_mm.models.edges_from import edges_from, known_edges
from trace_mm.registry import MODELS
from trace_mm.structures import EdgeDataSample


@pytest.fixture
def maps(tmp_path):
    """A folder of edge maps, some of them in a folder within."""
    (tmp_path / "maps/train").mkdir(parents=True)
    edges = np.zeros((8, 8), np.uint8)
    edges[:, 4] = 255
    cv2.imwrite(str(tmp_path / "maps/train/photo.png"), edges)
    return tmp_path / "maps"


def test_a_shipped_student():
    assert edges_from("trace-tiny") == {"type": "TrainedStudent", "student": "trace-tiny"}
    model = MODELS.build({"type": "EdgesFrom", "source": "trace-tiny", "size": 64})
    assert isinstance(model, TraceStudent) and model.size == 64 and not model.training
    source = edge_source_of({"type": "EdgesFrom", "source": "trace-tiny", "size": 64}, "cpu")
    assert isinstance(source, EdgeModel) and source.config["size"] == 64


def test_a_folder_of_edge_maps(maps):
    assert edges_from(maps) == {"type": "EdgeFolder", "folder": str(maps)}
    model = MODELS.build({"type": "EdgesFrom", "source": str(maps)})
    assert isinstance(model, EdgeFolder)
    model.expect(["train/photo.jpg"])
    sample = EdgeDataSample(metainfo={"img_path": "train/photo.jpg", "ori_shape": (8, 8)})
    edges = model([torch.zeros(3, 8, 8)], [sample], mode="predict")[0].pred_edges
    assert edges[..., 4].min() == 1 and edges.sum() == 8
    source = edge_source_of({"type": "EdgesFrom", "source": str(maps), "invert": True})
    assert isinstance(source, StoredEdges) and source.settings()["invert"]


def test_a_backbone_is_read_without_training():
    config = edges_from("sd35-large", timestep=300)
    assert (config["type"], config["timestep"]) == ("TraceTeacher", 300)
    assert config["backbone"]["pretrained"] == "stabilityai/stable-diffusion-3.5-large"


def test_what_is_said_of_a_backbone_adds_to_what_is_known_of_it():
    config = edges_from("sd35-large", backbone={"dtype": "float16"})
    assert config["backbone"]["dtype"] == "float16"
    assert config["backbone"]["pretrained"] == "stabilityai/stable-diffusion-3.5-large"


@pytest.mark.parametrize("name", ["canny_scenes", "edges/canny_scenes", "file"])
def test_a_config(tmp_path, name):
    if name == "file":
        (tmp_path / "mine.py").write_text('model = dict(type="CannyDetector", sigma=2.0)')
        name = str(tmp_path / "mine.py")
    assert edges_from(name)["type"] == "CannyDetector"
    model = MODELS.build({"type": "EdgesFrom", "source": name, "sigma": 3.0})
    assert isinstance(model, CannyDetector) and model.sigma == 3


def test_what_is_none_is_said_at_once(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("no-such-thing", str(tmp_path / "empty"), "nothing.pth"):
        with pytest.raises((FileNotFoundError, ValueError), match=name):
            edges_from(name)
    with pytest.raises(ValueError, match="no option size"):
        edges_from("canny_scenes", size=64)


def test_other_models_stay_as_they_are():
    assert known_edges({"type": "CannyDetector", "sigma": 2}) == {
        "type": "CannyDetector",
        "sigma": 2,
    }
