"""Settings of --cfg-options: each has an effect, or is refused with what was meant."""

import inspect
from pathlib import Path

import pytest
from mmengine.config import Config, DictAction

from tests.documented_commands import ROOT, documented_commands
from trace_mm.engine.config_options import _run_settings
from trace_mm.engine.runner_config import config_errors, read_config
from trace_mm.registry import MODELS

CONFIGS = sorted((ROOT / "configs").glob("[a-z]*/*.py"))
OF_PANOPTIC = ("images", "semantic", "classes", "model", "labeler", "data_root", "annotations")

BASE = """
data_root, part = "data/a", "train"
length: int = 3
data = dict(root=data_root, path=f"{data_root}/{part}")
def twice(length):
    length = 2 * length
    return length
train_cfg = dict(type="mmengine.IterBasedTrainLoop", max_iters=twice(length))
env_cfg = dict(cudnn_benchmark=False)
unused = 1
"""
TEXT = """
_base_ = ["base.py"]
data_root = "data/b"
train_dataloader = dict(dataset=dict(data_root={{_base_.data_root}}), batch_size=2)
val_dataloader = dict(dataset=dict(data_root=data_root))
model = dict(type="CannyDetector", sigma=2.0)
custom_hooks = [dict(type="EMAHook"), dict(type="EdgeVisualizationHook")]
other = None
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "base.py").write_text(BASE)
    (tmp_path / "config.py").write_text(TEXT)
    return tmp_path / "config.py"


def test_names_of_a_config_are_set_wherever_they_are_used(config):
    cfg = read_config(config, {"data_root": "x", "length": 5, "part": "val"})
    assert cfg.data == {"root": "x", "path": "x/val"}
    assert cfg.train_dataloader.dataset.data_root == cfg.val_dataloader.dataset.data_root == "x"
    assert cfg.train_cfg.max_iters == 10
    assert cfg.data_root == "x" and cfg.length == 5
    plain = read_config(config, {})
    assert plain.data.path == "data/a/train" and plain.train_cfg.max_iters == 6


@pytest.mark.parametrize("other", ["_base_.root", "{{_base_.root}}"])
def test_a_name_of_a_base_that_is_called_otherwise_is_set_there(tmp_path, other):
    (tmp_path / "first.py").write_text('root = "data/a"\nparts = dict(train=root)\n')
    (tmp_path / "base.py").write_text(f'_base_ = ["first.py"]\ndata_root = {other}\n')
    (tmp_path / "config.py").write_text('_base_ = "base.py"\ndata = dict(**_base_.parts)\n')
    for name in ("base.py", "config.py"):
        cfg = read_config(tmp_path / name, {"data_root": "x"})
        assert cfg.parts.train == cfg.data_root == "x"
    assert cfg.data.train == "x"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("dataroot", "x", "no setting dataroot: did you mean data_root?"),
        ("max_iters", 8, "no setting max_iters: did you mean train_cfg.max_iters?"),
        ("unused", 2, "nothing in this config uses unused"),
        ("train_datalaoder.batch_size", 2, "train_datalaoder: did you mean train_dataloader?"),
        ("train_dataloader.batchsize", 2, "did you mean train_dataloader.batch_size?"),
        ("train_cfg.max_iter", 2, "did you mean train_cfg.max_iters?"),
        ("model.sigm", 2, "no setting model.sigm: did you mean model.sigma?"),
        ("env_cfg.benchmark", True, "no setting env_cfg.benchmark"),
        ("custom_hooks.1.image", 2, "did you mean custom_hooks.1.images?"),
        ("custom_hooks.2.images", 2, "custom_hooks has items 0 to 1, not 2"),
        ("other.thing", 2, "other is None: it has no thing"),
    ],
)
def test_what_would_have_no_effect_is_refused(config, name, value, message):
    with pytest.raises(ValueError, match=r"config\.py: ") as caught:
        read_config(config, {name: value})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model.levels", 9),  # an argument that the config leaves out
        ("model", None),
        ("custom_hooks.0.priority", "LOW"),
        ("train_dataloader.num_workers", 2),
        ("env_cfg.mp_cfg.mp_start_method", "fork"),
        ("work_dir", "out"),
        ("load_from", "x.pth"),
        ("unused", 1),  # as it is
    ],
)
def test_what_has_an_effect_is_taken(config, name, value):
    node = read_config(config, {name: value})
    for part in name.split("."):
        node = node[int(part)] if part.isdigit() else node[part]
    assert node == value


def test_bad_configs_name_their_file(tmp_path):
    (tmp_path / "broken.py").write_text("model = dict(")
    with pytest.raises(ValueError, match=r"broken\.py: cannot read this config: .*never closed"):
        read_config(tmp_path / "broken.py", {})
    for model in ({"type": "NoSuchModel"}, {"type": "CannyDetector", "sigmas": 1}):
        error = pytest.raises(ValueError, match=r"a\.py: cannot build .*(NoSuch|sigmas)")
        with error, config_errors("a.py"):
            MODELS.build(model)


def _documented():
    """Config and settings of each documented command that has some."""
    for page, script, words in documented_commands():
        if "--cfg-options" not in words or not (ROOT / words[0]).is_file():
            continue
        start = words.index("--cfg-options") + 1
        settings = []
        for word in words[start:]:
            if word.startswith("--"):
                break
            settings.append(word)
        yield pytest.param(words[0], settings, id=f"{page}:{script} {' '.join(settings)}")


def _values(settings):
    pairs = (text.split("=", 1) for text in settings)
    return {name: DictAction._parse_iterable(value) for name, value in pairs}


@pytest.mark.parametrize(("config", "settings"), list(_documented()))
def test_documented_settings_have_an_effect(config, settings):
    if "mask2former" in config or "detectors" in config:
        pytest.importorskip("mmdet")
    plain = Config.fromfile(ROOT / config).to_dict()
    values = _values(settings)
    given = read_config(ROOT / config, values, OF_PANOPTIC).to_dict()
    for name, value in values.items():
        # replacing a part has no other value than not replacing it, and a test set is a file's name
        another = False if name.endswith("._delete_") else f"{value}-other"
        another = "kitti" if name == "test_set" else another
        other = read_config(ROOT / config, {**values, name: another}, OF_PANOPTIC).to_dict()
        assert given != other != plain, name


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_settings_that_all_configs_share(path):
    if path.parent.name in ("mask2former", "detectors"):
        pytest.importorskip("mmdet")
    plain = Config.fromfile(path)
    for name, value in (("data_root", "77"), ("pretrained", "77"), ("max_iters", 77)):
        if name in plain and path.parent.name != "panoptic":
            cfg = read_config(path, {name: value})
            used = {key: value for key, value in cfg.to_dict().items() if key != name}
            assert "77" in str(used), name
    with pytest.raises(ValueError, match="there is no setting"):
        read_config(path, {"dataroot": "x"})


def test_configs_are_found():
    assert len(CONFIGS) > 60
    assert Path(ROOT / "configs/edges/canny_scenes.py") in CONFIGS


def test_settings_of_a_run_are_those_of_mmengines_runner():
    from mmengine.runner import Runner

    read = _run_settings()
    assert {*inspect.signature(Runner.__init__).parameters} - {"self", "cfg"} <= read
    assert not read & {"self", "cfg", "length"}
