"""What a model's predictions depend on: equal for equal models, and known without building one."""

import json
import shutil

import pytest
import torch

from tests import tiny_towers
from tests.tiny_students import build, shake
from trace_mm.diffusion import SETTINGS_FILE
from trace_mm.models import TraceStudent, TraceTeacher, VisionTeacher, save_student
from trace_mm.models.identity import RESULTS, describe_model
from trace_mm.models.model_config import build_model, model_config
from trace_mm.registry import MODELS
from trace_mm.runner_model import RunnerModel

NO_OPTION_OF_PREDICTIONS = {"data_preprocessor", "preset"}


def teacher(folder, **options):
    backbone = {"pretrained": str(folder), **options.pop("backbone", {})}
    return {"type": "TraceTeacher", "backbone": backbone, **options}


@pytest.fixture
def student_file(flow_folder, tmp_path):
    return str(save_student(shake(build(flow_folder)), tmp_path / "student.pth"))


def student(file, folder, **options):
    return {
        "type": "TraceStudent",
        "checkpoint": file,
        "backbone": {"pretrained": str(folder)},
        **options,
    }


@pytest.fixture
def recommending_folder(flow_folder, tmp_path):
    """A backbone that recommends options."""
    folder = shutil.copytree(flow_folder, tmp_path / "recommending")
    options = {"size": 24, "region_cell": 2, "timesteps": [0, 200], "layers": "down_blocks"}
    (folder / SETTINGS_FILE).write_text(json.dumps(options))
    return folder


def test_options_are_those_that_the_model_takes(recommending_folder):
    config = teacher(recommending_folder, walk_steps=3, tile="auto")
    described, model = describe_model(config), build_model(config)
    for name in ("size", "tile", "region_cell", "walk_steps", "divergence", "seed", "noise_draws"):
        assert described[name] == getattr(model, name), name
    assert described["timesteps"] == list(model.timesteps) == [0, 200]
    assert described["backbone.layers"] == "down_blocks"
    assert described["results"] == RESULTS and described["model"] == "TraceTeacher"
    assert json.loads(json.dumps(described)) == described


@pytest.mark.parametrize(
    "given",
    [
        {"timestep": "iep"},
        {"divergence": "kl", "noise_draws": 1, "neighbors": 4},
        {"size": 16, "timesteps": tuple(range(0, 1000, 100))},
        {"tile_overlap": 0.5},  # of tiles that there are not
        {"preset": "paper"},  # where the folder recommends nothing
        {"backbone": {"dtype": "float32"}},
        {"backbone": {"dtype": torch.float32, "device": "cpu", "local_files_only": True}},
        {"backbone": {"low_cpu_mem_usage": True, "offload": "leaf_level"}},
        {"data_preprocessor": None},
    ],
    ids=str,
)
def test_a_default_and_the_same_value_given_are_equal(flow_folder, given):
    assert describe_model(teacher(flow_folder, **given)) == describe_model(teacher(flow_folder))


@pytest.mark.parametrize(
    "given",
    [
        {"timestep": 100},
        {"divergence": "js"},
        {"size": 24},
        {"tile": 16},
        {"seed": 1},
        {"timestep_batch": 2},
        {"backbone": {"dtype": "bfloat16"}},
        {"backbone": {"layers": "down_blocks"}},
    ],
    ids=str,
)
def test_what_predictions_depend_on_counts(flow_folder, given):
    assert describe_model(teacher(flow_folder, **given)) != describe_model(teacher(flow_folder))


def test_what_one_timestep_does_not_need_does_not_count(flow_folder):
    described = describe_model(teacher(flow_folder, timestep=100))
    given = {"timesteps": [0, 300], "divergence": "js", "timestep_batch": 4}
    assert describe_model(teacher(flow_folder, timestep=100, **given)) == described


def test_a_preset_takes_the_papers_values(recommending_folder):
    paper = describe_model(teacher(recommending_folder, preset="paper"))
    assert paper["region_cell"] == 1 and paper["size"] == 16 and "backbone.layers" not in paper
    given = {"region_cell": 1, "timesteps": range(0, 1000, 100), "size": 16}
    ours = describe_model(teacher(recommending_folder, **given))
    assert {n: v for n, v in ours.items() if n != "backbone.layers"} == paper


def test_folders_may_move_and_replaced_weights_count(flow_folder, tmp_path):
    copied = shutil.copytree(flow_folder, tmp_path / "elsewhere")
    assert describe_model(teacher(copied)) == describe_model(teacher(flow_folder))
    file = next(copied.glob("unet/*.safetensors"))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert describe_model(teacher(copied)) != describe_model(teacher(flow_folder))


def test_a_variant_that_is_the_only_one(flow_folder, tmp_path):
    folder = shutil.copytree(flow_folder, tmp_path / "half")
    file = folder / "unet/diffusion_pytorch_model.safetensors"
    file.rename(file.with_name("diffusion_pytorch_model.fp16.safetensors"))
    named = teacher(folder, backbone={"variant": "fp16"})
    assert describe_model(named) == describe_model(teacher(folder))


def test_a_student_counts_as_its_checkpoint_says(flow_folder, student_file, tmp_path):
    config = student(student_file, flow_folder)
    described, model = describe_model(config), build_model(config)
    for name in ("timestep", "size", "seed"):
        assert described[name] == getattr(model, name), name
    assert described["backbone.name"] == flow_folder.name and "tile" not in described
    given = {"size": model.size, "seed": 0, "timestep": model.timestep, "lora": None}
    assert describe_model({**config, **given, "pseudo_label": "mu"}) == described
    assert describe_model({**config, "size": model.size + 8}) != described
    half = {"pretrained": str(flow_folder), "dtype": "bfloat16"}
    assert describe_model({**config, "backbone": half}) != described
    same = save_student(shake(build(flow_folder)), tmp_path / "copy/student.safetensors")
    assert describe_model(student(str(same), flow_folder)) == described
    trained = {"type": "TrainedStudent", "student": student_file, "backbone": config["backbone"]}
    assert describe_model(trained) == described
    for none in ("size", "timestep"):  # build_model takes these for the backbone's own
        assert describe_model({**config, none: None}) == describe_model(
            {**config, none: getattr(build_model({**config, none: None}), none)}
        )


def test_the_shipped_model_by_its_name_and_by_its_folder(student_file):
    names = [model_config(name).model for name in (None, "trace-tiny-photo")]
    named = {"type": "TrainedStudent", "student": "trace-tiny-photo"}
    one, *others = [describe_model(config) for config in (*names, named)]
    assert others == [one, one] and one["size"] == 384 and one["backbone.name"] == "trace-tiny"


def test_a_vision_teacher(tmp_path):
    folder = tiny_towers.save_clip(tmp_path / "clip")
    config = {"type": "VisionTeacher", "backbone": {"pretrained": str(folder)}}
    described, model = describe_model(config), build_model(config)
    assert described["size"] == model.size
    assert describe_model({**config, "size": model.size, "region_cell": 1}) == described
    named = {**config, "backbone": {"pretrained": f"transformers:{folder}"}}
    assert describe_model(named) == described
    assert describe_model({**config, "region_cell": 2}) != described
    (tmp_path / "weights.pth").write_bytes(b"1")
    timm = {"pretrained": "timm:vit_small", "checkpoint": str(tmp_path / "weights.pth")}
    before = describe_model({**config, "backbone": timm})
    (tmp_path / "weights.pth").write_bytes(b"2")
    assert describe_model({**config, "backbone": timm}) != before


def test_models_of_a_hub_are_not_asked_for(monkeypatch):
    monkeypatch.setattr("huggingface_hub.hf_hub_download", None)
    described = describe_model(teacher("owner/name", backbone={"revision": "main"}))
    assert described["backbone.pretrained"] == "owner/name" and "size" not in described
    assert described["backbone.revision"] == "main"
    sd15 = describe_model(teacher("sd15"))
    assert sd15["size"] == 512 and sd15 == describe_model(teacher("sd15", size=512))
    assert sd15 == describe_model(teacher("stable-diffusion-v1-5/stable-diffusion-v1-5"))


def test_any_registered_model(tmp_path):
    @MODELS.register_module(force=True)
    class AnyEdges(RunnerModel):
        def __init__(self, weights, strength=0.5, edges=None, mode="kl", preset=None):
            super().__init__()

    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"1")
    config = {"type": "AnyEdges", "weights": str(weights)}
    before = describe_model(config)
    assert before["strength"] == 0.5 and before["mode"] == "kl"
    assert describe_model({"type": AnyEdges, "weights": weights, "strength": 0.5}) == before
    # What such a name means to our own models, which do not count it, says nothing of others.
    for name in ("preset", "edges"):
        assert describe_model({**config, name: {"teacher": "large"}}) != before
    assert describe_model({**config, "edges": {"lora": 8}}) != describe_model(
        {**config, "edges": {"lora": 16}}
    )
    moved = shutil.copy(weights, tmp_path / "moved.bin")
    assert describe_model({**config, "weights": moved}) == before
    weights.write_bytes(b"2")
    assert describe_model(config) != before
    inner = {"type": "SobelDetector", "sigma": 1.0}
    assert describe_model({**config, "edges": inner})["edges"] == inner
    MODELS.module_dict.pop("AnyEdges")


@pytest.mark.parametrize("kind", [TraceTeacher, TraceStudent, VisionTeacher])
def test_no_option_is_forgotten(kind, flow_folder, student_file, tmp_path):
    """Each option of the model either counts or is known not to matter."""
    import inspect

    from trace_mm.models import identity

    tower = tiny_towers.save_clip(tmp_path / "clip")
    config = {
        TraceTeacher: teacher(flow_folder, tile=8),
        TraceStudent: student(
            student_file, flow_folder, tile=8, calibration=(0.5, 0.1), max_enlargement=2, key_cell=2
        ),
        VisionTeacher: {"type": "VisionTeacher", "backbone": {"pretrained": tower}, "tile": 8},
    }[kind]
    options = inspect.signature(kind).parameters.keys() - identity._NOT_OF_PREDICTIONS
    elsewhere = {"backbone", "checkpoint", "decoder"}  # as backbone.NAME, by content
    by_objects = {**config, "tile": None, "object_size": 9.5}
    described = describe_model(config).keys() | describe_model(by_objects).keys()
    assert options - elsewhere <= described
    assert {"object_size", "tile_overlap"} <= describe_model(by_objects).keys()
    with pytest.raises(ValueError, match="object_size chooses the tiles"):
        describe_model({**by_objects, "tile": 8})
    assert describe_model({**by_objects, "object_size": "auto"})["object_size"] == "auto"
    with pytest.raises(ValueError, match="a number of pixels or 'auto', got 'small'"):
        describe_model({**by_objects, "object_size": "small"})


def test_cells_of_keys_count_unless_they_are_tokens(flow_folder, student_file):
    plain = describe_model(student(student_file, flow_folder))
    assert "key_cell" not in plain
    assert describe_model(student(student_file, flow_folder, key_cell=1)) == plain
    assert describe_model(student(student_file, flow_folder, key_cell=2))["key_cell"] == 2
    with pytest.raises(ValueError, match="key_cell must be at least 1"):
        describe_model(student(student_file, flow_folder, key_cell=0))


def test_calibration_counts_unless_it_changes_nothing(flow_folder, student_file):
    plain = describe_model(student(student_file, flow_folder))
    assert describe_model(student(student_file, flow_folder, calibration=(1, 0))) == plain
    assert describe_model(student(student_file, flow_folder, calibration=(0.5, 0))) != plain
