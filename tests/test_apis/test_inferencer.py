"""TraceInferencer: what it takes as model and input, and what it returns."""

import pickle
import shutil

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from tests.tiny_students import DECODER, build, shake
from trace_mm.apis import TraceInferencer, load_image
from trace_mm.diffusion import weights_fingerprint
from trace_mm.models import TraceStudent, save_student
from trace_mm.models.model_config import model_config
from trace_mm.registry import INFERENCERS, MODELS
from trace_mm.structures import EdgeDataSample

SOBEL = {"type": "SobelDetector", "sigma": 1.0}


@pytest.fixture(scope="module")
def sobel():
    return TraceInferencer(SOBEL, device="cpu", show_progress=False)


@pytest.fixture
def teacher(flow_folder):
    options = {"model_options": {"timesteps": (100, 300, 500)}, "show_progress": False}
    return TraceInferencer(str(flow_folder), "teacher", device="cpu", **options)


@pytest.fixture(scope="module")
def checkpoint(flow_folder, tmp_path_factory):
    return save_student(shake(build(flow_folder)), tmp_path_factory.mktemp("work") / "a.pth")


def _student(model, backbone, **options):
    return TraceInferencer(
        model, "student", device="cpu", show_progress=False, backbone=backbone, **options
    )


def _image(seed=0, size=(20, 30)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_predictions_of_the_teacher(teacher):
    images = [_image(0), _image(1, (33, 18))]
    result = teacher(images)
    assert len(result["predictions"]) == len(result["visualization"]) == 2
    for image, prediction, overlay in zip(
        images, result["predictions"], result["visualization"], strict=True
    ):
        assert prediction["edges"].shape == image.shape[:2]
        assert prediction["edges"].dtype == np.float32
        assert 0 <= prediction["edges"].min() <= prediction["edges"].max() <= 1
        assert prediction["timestep"] in (300, 500)
        assert prediction["scores"][prediction["timestep"]] == max(prediction["scores"].values())
        assert (overlay.shape, overlay.dtype) == (image.shape, np.uint8)


def test_batch_size_changes_nothing(teacher):
    images = [_image(seed, (20 + seed, 16)) for seed in range(3)]
    one, three = (teacher(images, batch_size=size)["predictions"] for size in (1, 3))
    for a, b in zip(one, three, strict=True):
        np.testing.assert_array_equal(a["edges"], b["edges"])
        assert a["scores"] == b["scores"]


def test_inputs_of_all_kinds_give_the_same(sobel, tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(_image()).save(path)
    expected = sobel(_image())["predictions"][0]["edges"]
    for inputs in (
        path,
        str(path),
        tmp_path,
        str(tmp_path / "*.png"),
        Image.open(path),
        [_image()],
        torch.from_numpy(_image()).permute(2, 0, 1),
        torch.from_numpy(_image()).permute(2, 0, 1)[None],
        torch.from_numpy(_image()),
        [torch.from_numpy(_image() / 255).requires_grad_()],
    ):
        (prediction,) = sobel(inputs)["predictions"]
        np.testing.assert_array_equal(prediction["edges"], expected)
    assert [p["name"] for p in sobel([path, _image(), path])["predictions"]] == [
        "a",
        "image_000001",
        "a",
    ]


def test_samples_and_no_pictures(sobel):
    result = sobel(_image(), return_datasamples=True, return_vis=False)
    (sample,) = result["predictions"]
    assert isinstance(sample, EdgeDataSample)
    assert sample.ori_shape == (20, 30)
    assert result["visualization"] == []


def test_unreadable_images_fail_before_any_is_processed(sobel, tmp_path, monkeypatch):
    (tmp_path / "bad.png").write_bytes(b"broken")
    monkeypatch.setattr(sobel.model, "forward", None)
    with pytest.raises(ValueError, match=r"bad\.png: not an image"):
        sobel([_image(), tmp_path / "bad.png"])
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        sobel([_image(), tmp_path / "gone.png"])


def test_out_dir(sobel, tmp_path):
    result = sobel([_image(0), _image(1)], out_dir=tmp_path / "out", save=["png", "npz"])
    edges = result["predictions"][1]["edges"]
    written = np.asarray(Image.open(tmp_path / "out/edges/image_000001.png"))
    np.testing.assert_array_equal(written, np.rint(edges * 255))
    with np.load(tmp_path / "out/npz/image_000001.npz") as saved:
        np.testing.assert_array_equal(saved["edges"], edges)
    (tmp_path / "out/manifest.jsonl").touch()
    with pytest.raises(ValueError, match="belongs to a folder run"):
        sobel(_image(), out_dir=tmp_path / "out")


def test_wrong_arguments(sobel, tmp_path, flow_folder):
    with pytest.raises(ValueError, match="batch size"):
        sobel(_image(), batch_size=0)
    with pytest.raises(ValueError, match="save must be"):
        sobel(_image(), out_dir=tmp_path, save=["jpg"])
    with pytest.raises(ValueError, match="contradicts the config, a SobelDetector"):
        TraceInferencer(SOBEL, method="student")
    with pytest.raises(ValueError, match="method must be student or teacher"):
        TraceInferencer(SOBEL, method="pupil")
    with pytest.raises(ValueError, match="'gpu' is not a device"):
        TraceInferencer(SOBEL, device="gpu")
    with pytest.raises(ValueError, match=r"cannot build the model.*timesteps"):
        TraceInferencer(SOBEL, model_options={"timesteps": [0]})
    with pytest.raises(ValueError, match="no dtype"):
        TraceInferencer(SOBEL, dtype="float16")
    with pytest.raises(ValueError, match="timestep must be"):
        TraceInferencer(str(flow_folder), "teacher", timestep="soon")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_missing_gpu():
    with pytest.raises(ValueError, match="no usable NVIDIA GPU"):
        TraceInferencer(SOBEL, device="cuda")


def test_models_of_all_kinds(flow_folder, tmp_path):
    whole = {"type": "TraceTeacher", "backbone": {"pretrained": str(flow_folder)}}
    path = tmp_path / "config.py"
    path.write_text(f"model = {whole!r}\n")
    for model in (
        str(flow_folder),
        flow_folder,
        whole,
        {"model": whole},
        str(path),
        Config({"model": whole}),
    ):
        config = model_config(model, "teacher", "bfloat16", {"seed": 3})
        assert config.model.type == "TraceTeacher"
        assert config.model.seed == 3
        assert config.model.backbone == {"pretrained": str(flow_folder), "dtype": "bfloat16"}
    assert whole == {"type": "TraceTeacher", "backbone": {"pretrained": str(flow_folder)}}
    hub = model_config("owner/name", "teacher").model.backbone.pretrained
    assert hub == "owner/name"


def test_unusable_models(flow_folder, tmp_path):
    with pytest.raises(ValueError, match=r"has no student.*backbone='.*' \(--backbone .*flow"):
        model_config(str(flow_folder), "student")
    for name in ("gone.pth", "work/gone.safetensors"):
        with pytest.raises(FileNotFoundError, match=f"no checkpoint {name}"):
            model_config(name, "student")
    with pytest.raises(FileNotFoundError, match=r"gone\.py: no such config"):
        model_config("gone.py")
    with pytest.raises(FileNotFoundError, match="no-such-model is neither"):
        model_config("no-such-model")
    with pytest.raises(FileNotFoundError, match=r"no model_index\.json"):
        model_config(str(tmp_path))
    (tmp_path / "bad.py").write_text("model = dict(\n")
    with pytest.raises(ValueError, match=r"bad\.py: cannot read"):
        model_config(str(tmp_path / "bad.py"))
    (tmp_path / "weights.ckpt").write_text("x")
    with pytest.raises(ValueError, match=r"weights\.ckpt: a model is"):
        model_config(str(tmp_path / "weights.ckpt"))
    for config in ({"optimizer": 1}, {"model": {}}):
        with pytest.raises(ValueError, match="must hold model"):
            model_config(config)
    with pytest.raises(TypeError, match="int"):
        model_config(3)


def test_settings_name_what_results_depend_on(teacher, flow_folder):
    settings = teacher.settings()
    assert settings["model"] == "TraceTeacher"
    assert settings["timesteps"] == [100, 300, 500]
    assert settings["seed"] == 0
    assert settings["device"] == "cpu"
    assert settings["backbone.content"] == weights_fingerprint(flow_folder)
    explicit = {"model_options": {"timesteps": (100, 300, 500)}, "seed": 0, "dtype": "float32"}
    again = TraceInferencer(
        str(flow_folder), "teacher", device="cpu", show_progress=False, **explicit
    )
    assert again.settings() == settings


def test_settings_notice_other_weights(flow_folder, tmp_path):
    copy = tmp_path / flow_folder.name
    shutil.copytree(flow_folder, copy)
    options = {"method": "teacher", "device": "cpu", "show_progress": False}
    before = TraceInferencer(str(copy), **options).settings()
    assert before == TraceInferencer(str(flow_folder), **options).settings()
    config = copy / "unet/config.json"
    config.write_text(config.read_text() + "\n")
    assert TraceInferencer(str(copy), **options).settings() != before


def test_automatic_tile_is_the_size_of_the_model(flow_folder):
    inferencer = TraceInferencer(
        str(flow_folder), "teacher", device="cpu", tile="auto", timestep=300, show_progress=False
    )
    size = inferencer.model.size
    assert inferencer.model.tile == inferencer.settings()["tile"] == size
    (prediction,) = inferencer(_image(0, (size + 9, 2 * size)))["predictions"]
    assert prediction["edges"].shape == (size + 9, 2 * size)


def test_predictions_of_a_student(checkpoint, flow_folder):
    inferencer = _student(checkpoint, flow_folder)
    assert inferencer.method == "student"
    model = inferencer.model
    assert isinstance(model, TraceStudent) and not model.training
    assert not any(".lora_" in name for name, _ in model.named_parameters())
    (prediction,) = inferencer(_image())["predictions"]
    pixels = torch.from_numpy(load_image(_image(), "")).permute(2, 0, 1)
    expected = shake(build(flow_folder)).predict([pixels])
    np.testing.assert_allclose(prediction["edges"], expected[0].pred_edges, atol=1e-5)
    assert (prediction["timestep"], prediction["scores"]) == (1, {})


@pytest.mark.parametrize(
    "option", [{"timestep": "iep"}, {"noise_draws": 2}, {"model_options": {"timesteps": [0]}}]
)
def test_a_student_has_no_options_of_the_teacher(checkpoint, flow_folder, option):
    name = next(iter(option.get("model_options", option)))
    with pytest.raises(ValueError, match=rf"{name}=.*--backbone"):
        _student(checkpoint, flow_folder, **option)


def test_options_of_a_student(checkpoint, flow_folder):
    inferencer = _student(checkpoint, flow_folder, size=24, timestep=50, seed=4, tile="auto")
    model = inferencer.model
    assert (model.size, model.timestep, model.seed, model.tile) == (24, 50, 4, 24)
    (prediction,) = inferencer(_image(0, (26, 50)))["predictions"]
    assert prediction["edges"].shape == (26, 50)
    with pytest.raises(ValueError, match=r"cannot build the model.*colour"):
        _student(checkpoint, flow_folder, model_options={"colour": "red"})


def test_configs_of_students(checkpoint, flow_folder, tmp_path):
    whole = {"type": "TraceStudent", "backbone": {"pretrained": str(flow_folder)}}
    whole |= {"decoder": DECODER, "lora": {"rank": 2}, "teacher": {"noise_draws": 2}}
    with pytest.raises(ValueError, match="untrained: name its checkpoint"):
        TraceInferencer(whole, device="cpu")
    whole["checkpoint"] = str(checkpoint)
    with pytest.raises(ValueError, match="'teacher' contradicts the config, a TraceStudent"):
        TraceInferencer(whole, "teacher", device="cpu")
    found = TraceInferencer(whole, device="cpu", show_progress=False)
    assert found.method == "student"
    named = _student(checkpoint, flow_folder)
    for key in ("edges", "timestep"):
        np.testing.assert_array_equal(
            found(_image())["predictions"][0][key], named(_image())["predictions"][0][key]
        )
    teacher = {"type": "TraceTeacher", "backbone": {"pretrained": "nowhere"}}
    moved = TraceInferencer(
        teacher, "teacher", device="cpu", backbone=flow_folder, show_progress=False
    )
    assert moved.method == "teacher"
    with pytest.raises(ValueError, match="has no backbone to set"):
        TraceInferencer(SOBEL, backbone=flow_folder)


def test_a_students_config_is_no_backbone(tmp_path):
    config = tmp_path / "student.py"
    config.write_text("model = dict(type='TraceStudent', backbone=dict(pretrained='trace-tiny'))")
    with pytest.raises(ValueError, match=r"student\.py is the config of a TraceStudent"):
        TraceInferencer(backbone=config, device="cpu")


def test_a_student_is_no_teacher(checkpoint, flow_folder):
    with pytest.raises(
        ValueError, match=r"a\.pth is a student.*give the backbone.*--backbone flow"
    ):
        TraceInferencer(checkpoint, "teacher", device="cpu")
    with pytest.raises(ValueError, match="the teacher is its backbone"):
        TraceInferencer(flow_folder, "teacher", device="cpu", backbone=flow_folder)


def test_settings_name_the_student(checkpoint, flow_folder, tmp_path):
    settings = _student(checkpoint, flow_folder).settings()
    assert settings["backbone.name"] == flow_folder.name
    assert {"timestep", "size", "seed"} < settings.keys()
    same = save_student(shake(build(flow_folder)), tmp_path / "elsewhere")
    assert _student(same.parent, flow_folder).settings() == settings
    student = shake(build(flow_folder))
    with torch.no_grad():
        student.decoder.mix.bias += 0.01
    other = save_student(student, tmp_path / "a.pth")
    assert _student(other, flow_folder).settings() != settings


def test_the_student_is_the_default(checkpoint, flow_folder):
    with pytest.raises(ValueError, match=r"has no student.*--backbone"):
        TraceInferencer(flow_folder, device="cpu")
    found = TraceInferencer(checkpoint, device="cpu", backbone=flow_folder)
    assert found.method == "student"


def test_the_shipped_student():
    inferencer = TraceInferencer(device="cpu", show_progress=False)
    assert inferencer.method == "student"
    assert inferencer.settings()["backbone.name"] == "trace-tiny"
    (prediction,) = inferencer(_image(0, (64, 90)))["predictions"]
    assert prediction["edges"].shape == (64, 90) and prediction["scores"] == {}


def test_registered():
    assert INFERENCERS.get("TraceInferencer") is TraceInferencer
    assert MODELS.get("TraceTeacher").__name__ == "TraceTeacher"


def test_the_teacher_of_the_shipped_student_is_named():
    with pytest.raises(ValueError, match=r"backbone='trace-tiny' \(--backbone trace-tiny\)"):
        TraceInferencer(device="cpu", noise_draws=3)


def test_what_it_is_can_be_read(sobel, teacher, flow_folder):
    assert repr(sobel) == "TraceInferencer('SobelDetector', method=None, device='cpu')"
    text = repr(teacher)
    assert text.startswith(f"TraceInferencer({str(flow_folder)!r}, method='teacher', device='cpu'")
    assert "seed=0" in text and "noise_draws=" in text


@pytest.mark.parametrize("device", ["mps", "xpu", "meta", "mps:1", "cuda:99"])
def test_a_device_that_cannot_compute_is_refused(device):
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("there is one")
    with pytest.raises(ValueError, match=f"device {device} asked for"):
        TraceInferencer(SOBEL, device=device)


@pytest.mark.parametrize("option", [{"tile": "auto"}, {"tile": 8}, {"size": 16}, {"seed": 1}])
def test_options_that_a_model_does_not_have_are_refused(option):
    with pytest.raises(ValueError, match=f"SobelDetector has no option {next(iter(option))}$"):
        TraceInferencer(SOBEL, device="cpu", **option)


def test_a_config_that_is_no_edge_model_is_refused():
    config = {"type": "MaskRefiner", "edges": SOBEL, "refiner": None}
    with pytest.raises(ValueError, match=r"a MaskRefiner, which finds no edges: .* SobelDetector"):
        TraceInferencer(config, device="cpu")
    with pytest.raises(ValueError, match=r"MaskRefiner.*EdgesFrom, in model\.edges"):
        TraceInferencer("configs/uis/maskcut_trace_scenes.py", device="cpu")
    with pytest.raises(ValueError, match="cannot build the model: NoSuchModel is not in"):
        TraceInferencer({"type": "NoSuchModel"}, device="cpu")
    inferencer = TraceInferencer(SOBEL, device="cpu", show_progress=False)
    inferencer.model = lambda images, samples, mode: samples
    with pytest.raises(ValueError, match="is no edge model: it predicts no pred_edges"):
        inferencer(np.zeros((8, 8, 3), np.uint8))


def test_a_config_of_a_trained_student(tmp_path):
    named = TraceInferencer("trace-tiny", device="cpu", show_progress=False)
    path = tmp_path / "student.py"
    path.write_text('model = dict(type="TrainedStudent", student="trace-tiny")')
    assert TraceInferencer(path, "student", device="cpu").settings() == named.settings()


def test_it_is_pickled_as_what_it_is_made_of(teacher):
    data = pickle.dumps(teacher)
    assert len(data) < 10_000  # no weights
    other = pickle.loads(data)
    assert other.settings() == teacher.settings() and not other.show_progress
    one, another = (model(_image(3))["predictions"][0]["edges"] for model in (teacher, other))
    np.testing.assert_array_equal(one, another)
