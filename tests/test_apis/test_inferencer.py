"""TraceInferencer: what it takes as model and input, and what it returns."""

import shutil

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from trace_mm.apis import TraceInferencer
from trace_mm.apis.model_config import teacher_config
from trace_mm.registry import INFERENCERS, MODELS
from trace_mm.structures import EdgeDataSample

SOBEL = {"type": "SobelDetector", "sigma": 1.0}


@pytest.fixture(scope="module")
def sobel():
    return TraceInferencer(SOBEL, device="cpu", show_progress=False)


@pytest.fixture
def teacher(flow_folder):
    options = {"timesteps": (100, 300, 500), "show_progress": False}
    return TraceInferencer(str(flow_folder), device="cpu", **options)


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
    with pytest.raises(ValueError, match="method must be teacher"):
        TraceInferencer(SOBEL, method="student")
    with pytest.raises(ValueError, match="'gpu' is not a device"):
        TraceInferencer(SOBEL, device="gpu")
    with pytest.raises(ValueError, match=r"cannot build the model.*timesteps"):
        TraceInferencer(SOBEL, timesteps=[0])
    with pytest.raises(ValueError, match="no dtype"):
        TraceInferencer(SOBEL, dtype="float16")
    with pytest.raises(ValueError, match="timestep must be"):
        TraceInferencer(str(flow_folder), timestep="soon")


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
        config = teacher_config(model, "bfloat16", {"seed": 3})
        assert config.model.type == "TraceTeacher"
        assert config.model.seed == 3
        assert config.model.backbone == {"pretrained": str(flow_folder), "dtype": "bfloat16"}
    assert whole == {"type": "TraceTeacher", "backbone": {"pretrained": str(flow_folder)}}
    hub = teacher_config("owner/name").model.backbone.pretrained
    assert hub == "owner/name"


def test_unusable_models(tmp_path):
    with pytest.raises(FileNotFoundError, match="no-such-model is neither"):
        teacher_config("no-such-model")
    with pytest.raises(FileNotFoundError, match=r"no model_index\.json"):
        teacher_config(str(tmp_path))
    (tmp_path / "bad.py").write_text("model = dict(\n")
    with pytest.raises(ValueError, match=r"bad\.py: cannot read"):
        teacher_config(str(tmp_path / "bad.py"))
    (tmp_path / "weights.ckpt").write_text("x")
    with pytest.raises(ValueError, match=r"weights\.ckpt: a model is"):
        teacher_config(str(tmp_path / "weights.ckpt"))
    for config in ({"optimizer": 1}, {"model": {}}):
        with pytest.raises(ValueError, match="must hold model"):
            teacher_config(config)
    with pytest.raises(TypeError, match="int"):
        teacher_config(3)


def test_settings_name_what_results_depend_on(teacher, flow_folder):
    settings = teacher.settings()
    assert settings["model"] == "TraceTeacher"
    assert settings["timesteps"] == [100, 300, 500]
    assert settings["seed"] == 0
    assert settings["device"] == "cpu"
    assert settings["backbone.pretrained"] == flow_folder.name
    explicit = {"timesteps": (100, 300, 500), "seed": 0, "dtype": "float32"}
    again = TraceInferencer(str(flow_folder), device="cpu", show_progress=False, **explicit)
    assert again.settings() == settings


def test_settings_notice_other_weights(flow_folder, tmp_path):
    copy = tmp_path / flow_folder.name
    shutil.copytree(flow_folder, copy)
    options = {"device": "cpu", "show_progress": False}
    before = TraceInferencer(str(copy), **options).settings()
    assert before == TraceInferencer(str(flow_folder), **options).settings()
    config = copy / "unet/config.json"
    config.write_text(config.read_text() + "\n")
    assert TraceInferencer(str(copy), **options).settings() != before


def test_automatic_tile_is_the_size_of_the_model(flow_folder):
    inferencer = TraceInferencer(
        str(flow_folder), device="cpu", tile="auto", timestep=300, show_progress=False
    )
    size = inferencer.model.size
    assert inferencer.model.tile == inferencer.settings()["tile"] == size
    (prediction,) = inferencer(_image(0, (size + 9, 2 * size)))["predictions"]
    assert prediction["edges"].shape == (size + 9, 2 * size)


def test_registered():
    assert INFERENCERS.get("TraceInferencer") is TraceInferencer
    assert MODELS.get("TraceTeacher").__name__ == "TraceTeacher"
