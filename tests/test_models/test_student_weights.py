import copy
import os
import shutil

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.runner.checkpoint import load_checkpoint
from torch.utils.data import Dataset

from tests.tiny_models import save_flow, tiny_unet
from tests.tiny_students import DECODER, build, images_of, samples_of, shake
from trace_mm.models import (
    TraceStudent,
    build_student,
    load_student_weights,
    read_student,
    save_student,
)
from trace_mm.models.student_files import DESCRIPTION, student_fingerprint
from trace_mm.models.student_state import pack_description, unpack_description
from trace_mm.registry import DATASETS


@DATASETS.register_module()
class TinyEdges(Dataset):
    """Four images with pseudo-edges."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {
            "inputs": images_of(1, seed=index)[0],
            "data_samples": samples_of(1, seed=index + 9)[0],
        }


@pytest.fixture(scope="module")
def student(flow_folder):
    return shake(build(flow_folder))


@pytest.fixture(scope="module")
def edges(student):
    return predict(student)


@pytest.fixture(scope="module")
def other_folder(tmp_path_factory):
    """A backbone of the same architecture with other weights."""
    folder = save_flow(tmp_path_factory.mktemp("other"))
    unet = tiny_unet()
    torch.manual_seed(8)
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    unet.save_pretrained(folder / "unet")
    return folder


def predict(student):
    return student.predict(images_of(1, (20, 33)))[0].pred_edges


def test_the_state_is_lora_and_decoder_and_a_description(student):
    state = student.state_dict()
    assert all(torch.is_tensor(value) for value in state.values())
    description = unpack_description(state)
    del state[DESCRIPTION]
    trained = {name for name, p in student.named_parameters() if p.requires_grad}
    assert set(state) == trained
    assert description["backbone"]["name"].startswith("flow")
    assert "/" not in description["backbone"]["name"]  # where it lies is nobody's business
    assert description["student"]["lora"]["rank"] == 2
    assert description["student"]["decoder"] == DECODER


@pytest.mark.parametrize("name", ["a/student.safetensors", "student.pth", "folder"])
def test_what_is_saved_is_loaded(student, edges, flow_folder, tmp_path, name):
    file = save_student(student, tmp_path / name)
    assert file.is_file() and [path.name for path in file.parent.iterdir()] == [file.name]
    fresh = build(flow_folder)
    assert not torch.equal(predict(fresh), edges)
    load_student_weights(fresh, tmp_path / name)
    assert torch.equal(predict(fresh), edges)
    started = build(flow_folder, checkpoint=str(file))
    assert torch.equal(predict(started), edges)


def test_strict_loading_by_torch_and_by_mmengine(student, edges, flow_folder, tmp_path):
    fresh = build(flow_folder)
    assert str(fresh.load_state_dict(student.state_dict())) == "<All keys matched successfully>"
    assert torch.equal(predict(fresh), edges)
    fresh = build(flow_folder)
    load_checkpoint(fresh, str(save_student(student, tmp_path / "a.pth")), strict=True)
    assert torch.equal(predict(fresh), edges)


def test_half_precision_halves_the_file(student, edges, flow_folder, tmp_path):
    whole = save_student(student, tmp_path / "whole")
    half = save_student(student, tmp_path / "half", dtype=torch.float16)
    tensors = sum(p.numel() for p in student.parameters() if p.requires_grad)
    saved = whole.stat().st_size - half.stat().st_size
    assert saved == pytest.approx(2 * tensors, abs=200)
    fresh = build(flow_folder)
    load_student_weights(fresh, half)
    assert fresh.decoder.mix.weight.dtype == torch.float32
    torch.testing.assert_close(predict(fresh), edges, atol=0.01, rtol=0)


@pytest.mark.parametrize("merge", [True, False])
def test_a_checkpoint_builds_its_student(student, edges, flow_folder, tmp_path, merge):
    file = save_student(student, tmp_path / "student")
    found = build_student(file, {"pretrained": flow_folder}, merge=merge)
    assert isinstance(found, TraceStudent) and not found.training
    torch.testing.assert_close(predict(found), edges, atol=1e-5, rtol=0)
    names = {name for name, _ in found.named_parameters()}
    assert any(".lora_" in name for name in names) != merge


def test_the_layers_that_are_read_are_part_of_it(student, flow_folder, tmp_path):
    few = build(flow_folder, backbone={"layers": "up_blocks"})
    with pytest.raises(ValueError, match="trained with layers"):
        few.load_state_dict(student.state_dict())
    built = build_student(save_student(few, tmp_path), {"pretrained": flow_folder})
    assert [layer.name for layer in built.backbone.layers] == [
        layer.name for layer in few.backbone.layers
    ]


def test_merging_keeps_the_prediction_and_forbids_saving(student, edges, tmp_path):
    merged = copy.deepcopy(student)
    merged.merge()
    torch.testing.assert_close(predict(merged), edges, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="LoRA is merged"):
        save_student(merged, tmp_path / "student")
    with pytest.raises(ValueError, match="LoRA is merged"):
        merged.load_state_dict(student.state_dict())


def test_a_copy_in_half_precision_is_the_same_backbone(student, flow_folder):
    build(flow_folder, backbone={"dtype": "bfloat16"}).load_state_dict(student.state_dict())


@pytest.mark.parametrize("merge", [True, False])
def test_another_backbone_is_refused(student, other_folder, tmp_path, merge):
    file = save_student(student, tmp_path)
    own = unpack_description(student.state_dict())["backbone"]["name"]
    other = other_folder.name
    message = f"belong to backbone '{own}', but the model has backbone '{other}': .*weights differ"
    with pytest.raises(ValueError, match=message):
        build_student(file, {"pretrained": other_folder}, merge=merge)
    fresh = build(other_folder)
    before = copy.deepcopy(fresh.state_dict())
    with pytest.raises(ValueError, match=message):
        fresh.load_state_dict(student.state_dict())
    with pytest.raises(ValueError, match=message):
        load_checkpoint(fresh, str(save_student(student, tmp_path / "a.pth")))
    for name, value in fresh.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_revision_is_named(flow_folder, other_folder):
    student = build(flow_folder, backbone={"revision": "v2"})
    with pytest.raises(ValueError, match=r"\(revision v2\), but the model"):
        build(other_folder).load_state_dict(student.state_dict())


def test_another_student_is_refused(student, flow_folder, tmp_path):
    state = student.state_dict()
    with pytest.raises(ValueError, match=r"trained with lora .*'rank': 2.*'rank': 3"):
        build(flow_folder, lora={"rank": 3}).load_state_dict(state)
    with pytest.raises(ValueError, match=r"trained with lora .*'alpha': 2.*'alpha': 8"):
        build(flow_folder, lora={"rank": 2, "alpha": 8}).load_state_dict(state)
    with pytest.raises(ValueError, match=r"TinyDecoder.*ConvDecoder"):
        build(flow_folder, decoder={"type": "ConvDecoder", "tokens": 64}).load_state_dict(state)
    damaged = {name: value for name, value in state.items() if "mix.bias" not in name}
    with pytest.raises(ValueError, match=r"decoder\.mix\.bias"):
        build(flow_folder).load_state_dict(damaged)
    with pytest.raises(ValueError, match="do not say which backbone"):
        build(flow_folder).load_state_dict({})
    later = {**state, DESCRIPTION: pack_description({"format": 7})}
    with pytest.raises(ValueError, match="are of format 7"):
        build(flow_folder).load_state_dict(later)


class Harmful:
    def __reduce__(self):
        return os.system, ("true",)


def test_files_that_are_no_students_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*nowhere\.pth"):
        read_student(tmp_path / "nowhere.pth")
    for name, content in (("a.safetensors", b"words"), ("a.pth", b"words"), ("b.pth", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} is damaged or not a student"):
            read_student(tmp_path / name)
    torch.save({"state_dict": {"weight": torch.zeros(2)}}, tmp_path / "plain.pth")
    with pytest.raises(ValueError, match=r"plain\.pth is damaged .*which backbone"):
        read_student(tmp_path / "plain.pth")
    torch.save({"state_dict": {}, "hook": Harmful()}, tmp_path / "harmful.pth")
    with pytest.raises(ValueError, match=r"harmful\.pth is damaged"):
        read_student(tmp_path / "harmful.pth")


def runner(folder, work_dir, **options):
    loader = {
        "batch_size": 2,
        "num_workers": 0,
        "dataset": {"type": "TinyEdges"},
        "sampler": {"type": "DefaultSampler", "shuffle": True},
        "collate_fn": {"type": "pseudo_collate"},
    }
    torch.manual_seed(3)
    config = {
        "model": {
            "type": "TraceStudent",
            "backbone": {"pretrained": str(folder)},
            "decoder": DECODER,
            "lora": {"rank": 2},
        },
        "work_dir": str(work_dir),
        "train_dataloader": loader,
        "train_cfg": {"by_epoch": True, "max_epochs": 2},
        "optim_wrapper": {"optimizer": {"type": "Adam", "lr": 0.01, "weight_decay": 4e-5}},
        "param_scheduler": [{"type": "ExponentialLR", "gamma": 0.9}],
        "default_hooks": {"checkpoint": {"type": "CheckpointHook", "interval": 1}},
        "custom_hooks": [{"type": "EMAHook"}],
        "randomness": {"seed": 0},
        "default_scope": "trace_mm",
        "log_level": "ERROR",
        "experiment_name": f"student_{work_dir.name}",
        **options,
    }
    return Runner.from_cfg(Config(config))


def test_checkpoints_of_mmengine_are_read_safely_and_resumed(flow_folder, tmp_path):
    undisturbed = runner(flow_folder, tmp_path / "run")
    undisturbed.train()
    state = read_student(tmp_path / "run" / "epoch_2.pth")  # weights_only, with the log in it
    assert all("decoder." in name or ".lora_" in name for name in state if name != DESCRIPTION)
    fresh = build(flow_folder)
    fresh.load_state_dict(state)
    resumed = runner(
        flow_folder,
        tmp_path / "resumed",
        load_from=str(tmp_path / "run" / "epoch_1.pth"),
        resume=True,
    )
    resumed.train()
    for name, value in read_student(tmp_path / "resumed" / "epoch_2.pth").items():
        assert torch.equal(value, state[name]), name


def test_a_local_backbone_named_like_a_published_one_is_not_taken_for_it(flow_folder, tmp_path):
    folder = shutil.copytree(flow_folder, tmp_path / "sdxl")
    path = save_student(shake(build(folder)), tmp_path / "student.pth")
    with pytest.raises(FileNotFoundError, match=r"belongs to backbone 'sdxl'.*name its folder"):
        build_student(path)
    build_student(path, {"pretrained": str(folder)})


def test_a_backbone_of_another_kind_is_named_before_it_is_loaded(
    flow_folder, model_folder, tmp_path
):
    path = save_student(shake(build(flow_folder)), tmp_path / "student.pth")
    words = r"a UNet2DConditionModel; .* is a SD3Transformer2DModel"
    with pytest.raises(ValueError, match=words):
        build_student(path, {"pretrained": str(model_folder("sd3", 5))})


def test_calibration_is_kept_and_applied(flow_folder, tmp_path):
    student = shake(build(flow_folder))
    (image,) = images_of(1)
    plain = student.read(image[None])
    before = student_fingerprint(save_student(student, tmp_path / "plain"))
    student.calibrate(0.5, -0.25)
    path = save_student(student, tmp_path / "calibrated")
    assert student_fingerprint(path) != before
    for merge in (False, True):
        loaded = build_student(path, {"pretrained": str(flow_folder)}, merge=merge)
        torch.testing.assert_close(
            loaded.read(image[None]), plain * 0.5 - 0.25, atol=1e-5, rtol=1e-4
        )
    with pytest.raises(ValueError, match="positive scale and an offset"):
        build(flow_folder, calibration=(-1, 0))
