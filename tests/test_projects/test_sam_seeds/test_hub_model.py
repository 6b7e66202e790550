"""What models of transformers share: loaded when asked, sent unloaded, placed by name."""

import pickle

import numpy as np
import pytest
from transformers import SwinConfig, SwinModel

from projects.sam_seeds.grounding import GroundingDino
from projects.sam_seeds.pipeline import Seeder
from projects.sam_seeds.promptable import SegmentAnything
from projects.sam_seeds.seeds import Prompting
from tests.tiny_sams import save_grounding_dino, save_sam
from trace_mm.jobs.edge_sources import NamedImage
from trace_mm.panoptic import PanopticClasses
from trace_mm.runs.job import UnusableError

CLASSES = PanopticClasses.create(["cat"], ["squares"])


def sam(folder):
    return SegmentAnything(str(folder), "cpu")


def detector(folder):
    return GroundingDino(str(folder), CLASSES, "all", device="cpu")


MODELS = {"sam": (sam, save_sam), "detector": (detector, save_grounding_dino)}


@pytest.mark.parametrize("name", MODELS)
def test_devices_are_names(name):
    model = MODELS[name][0]("nowhere")
    assert model.device == "cpu" and not model.uses_accelerator
    model.device = "cuda:1"  # as where there is one
    assert model.uses_accelerator
    other = model.on("cpu")
    assert not other.uses_accelerator and model.device == "cuda:1"
    with pytest.raises(ValueError, match="'gpu' is not a device"):
        model.on("gpu")


def test_a_seeder_knows_where_its_models_compute():
    source = detector("nowhere")
    seeder = Seeder(source, Prompting(), sam("nowhere"))
    assert not seeder.uses_accelerator
    source.device = "cuda"
    assert seeder.uses_accelerator and not seeder.on("cpu").uses_accelerator


@pytest.mark.parametrize("name", MODELS)
def test_models_are_loaded_once_and_sent_unloaded(name, tmp_path):
    made, save = MODELS[name]
    model = made(save(tmp_path / "model"))
    assert model._loaded is None
    loaded = model._load()
    assert model._load() is loaded and model._loaded is loaded
    for other in (model.on("cpu"), pickle.loads(pickle.dumps(model))):
        assert other._loaded is None and other.settings() == model.settings()
    assert model._loaded is loaded


@pytest.mark.parametrize("name", MODELS)
def test_identity_follows_the_files_of_a_folder(name, tmp_path):
    made, save = MODELS[name]
    model = made(save(tmp_path / "model"))
    before = model.identity
    (tmp_path / "model/preprocessor_config.json").write_text("{}")
    assert model.identity != before
    assert made("somebody/model").identity == "somebody/model"


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_another_kind_ends_the_run(name, tmp_path):
    """It is no image's fault, as a ValueError would be."""
    SwinModel(SwinConfig(embed_dim=8, depths=[1], num_heads=[1])).save_pretrained(tmp_path / "swin")
    with pytest.raises(UnusableError, match="swin"):
        MODELS[name][0](tmp_path / "swin")._load()


def test_images_are_not_blamed_for_a_wrong_detector(tmp_path):
    SwinModel(SwinConfig(embed_dim=8, depths=[1], num_heads=[1])).save_pretrained(tmp_path / "swin")
    image = NamedImage("photo.png", np.zeros((20, 30, 3), np.float32))
    with pytest.raises(UnusableError):
        detector(tmp_path / "swin")(image, None, None)
