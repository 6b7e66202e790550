"""Exported folders: what they hold, that they predict the same, and what is refused."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from safetensors import safe_open

from tests.tiny_models import save_flow, tiny_unet
from tests.tiny_students import build, shake
from trace_mm.apis import TraceInferencer
from trace_mm.files import TEMPORARY_SUFFIX
from trace_mm.models import read_student, save_student
from trace_mm.models import student_folder as student_folders
from trace_mm.publish.export import export_student
from trace_mm.publish.model_card import CITATION
from trace_mm.publish.training_record import training_images

OPTIONS = {"device": "cpu", "show_progress": False}
IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def checkpoint(flow_folder, tmp_path_factory):
    return save_student(shake(build(flow_folder)), tmp_path_factory.mktemp("work") / "iter_9.pth")


@pytest.fixture(scope="module")
def exported(checkpoint, flow_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("exports")
    plain = export_student(checkpoint, out / "plain", backbone=flow_folder, trained_on="scenes")
    merged = export_student(checkpoint, out / "merged", backbone=flow_folder, merge=True)
    return plain, merged


def edges_of(model, **options):
    inferencer = TraceInferencer(model, method="student", **OPTIONS, **options)
    return inferencer(IMAGE)["predictions"][0]["edges"]


@pytest.fixture(scope="module")
def expected(checkpoint, flow_folder):
    return edges_of(checkpoint, backbone=flow_folder)


def files_of(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_an_export_predicts_like_its_checkpoint(exported, expected, flow_folder):
    plain, _ = exported
    assert files_of(plain) == {"README.md", "student.safetensors", "trace_student.json"}
    np.testing.assert_array_equal(edges_of(plain, backbone=flow_folder), expected)
    assert expected.std() > 0


def test_a_merged_export_needs_nothing_else(exported, expected, tmp_path):
    _, merged = exported
    moved = shutil.copytree(merged, tmp_path / "elsewhere")
    np.testing.assert_allclose(edges_of(moved), expected, atol=1e-5)
    assert {"model_index.json", "null_text.safetensors", "unet/config.json"} <= files_of(moved)
    with safe_open(moved / "student.safetensors", "pt") as stored:
        assert all(name.startswith("decoder.") for name in stored.keys())  # noqa: SIM118
    marker = json.loads((moved / "trace_student.json").read_text())
    assert marker["merged"] is True and marker["backbone"]["name"].startswith("flow")


def test_nothing_of_this_machine_is_written(exported, flow_folder):
    for folder in exported:
        for name in files_of(folder):
            assert str(flow_folder).encode() not in (folder / name).read_bytes()


def test_the_card_counts_what_is_there(exported, flow_folder):
    student = build(flow_folder)
    counts = {
        part: sum(p.numel() for name, p in student.named_parameters() if test(name))
        for part, test in {
            "lora": lambda name: ".lora_" in name,
            "decoder": lambda name: name.startswith("decoder."),
            "backbone": lambda name: name.startswith("backbone.") and ".lora_" not in name,
        }.items()
    }
    for folder, place in zip(exported, ("beside it", "merged into"), strict=True):
        card = (folder / "README.md").read_text()
        _, front, text = card.split("---\n", 2)
        head = yaml.safe_load(front)
        assert head["library_name"] == "trace_mm"
        assert head["pipeline_tag"] == "image-segmentation"
        assert "base_model" not in head and head["license"] == "other"  # a local folder
        assert f"{counts['lora']:,} weights, {place}" in text
        assert f"`TinyDecoder`, {counts['decoder']:,} weights" in text
        assert f"{counts['backbone']:,} weights with its VAE" in text
        size = (folder / "student.safetensors").stat().st_size
        assert f"| `student.safetensors` | {size / 1e6:,.2f} MB |" in text
        assert "rank 2, alpha 2" in text and CITATION in text
        assert f'TraceInferencer("{folder.name}")' in text
    assert "| trained on | scenes |" in (exported[0] / "README.md").read_text()
    assert "| trained on | not recorded |" in (exported[1] / "README.md").read_text()


def test_the_citation_is_that_of_the_repository():
    path = Path(__file__).parents[2] / "CITATION.cff"
    if not path.is_file():
        pytest.skip("only in a checkout")
    paper = yaml.safe_load(path.read_text())["preferred-citation"]
    words = " ".join(CITATION.split())
    assert paper["title"] in words and str(paper["year"]) in words
    for author in paper["authors"]:
        assert f"{author['family-names']}, {author['given-names']}" in words


def test_half_precision(checkpoint, flow_folder, expected, tmp_path, exported):
    for merge, whole in zip((False, True), exported, strict=True):
        half = export_student(
            checkpoint, tmp_path / f"{merge}", merge=merge, dtype="float16", backbone=flow_folder
        )
        name = "unet/diffusion_pytorch_model.safetensors" if merge else "student.safetensors"
        sizes = [(folder / name).stat().st_size for folder in (half, whole)]
        assert sizes[0] < 0.75 * sizes[1]
        found = edges_of(half, **({} if merge else {"backbone": flow_folder}))
        np.testing.assert_allclose(found, expected, atol=0.02)


def test_exports_are_exported_again(exported, flow_folder, tmp_path):
    plain, merged = exported
    again = export_student(plain, tmp_path / "again", backbone=flow_folder)
    before, after = read_student(plain), read_student(again)
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert "| trained on | scenes |" in (again / "README.md").read_text()
    with pytest.raises(ValueError, match="merged already"):
        export_student(merged, tmp_path / "more")


def test_another_backbone_or_none_is_refused(exported, checkpoint, tmp_path):
    other = save_flow(tmp_path / "other")
    unet = tiny_unet()
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter += 0.1
    unet.save_pretrained(other / "unet")
    with pytest.raises(ValueError, match=r"belong to backbone 'flow.*weights differ"):
        edges_of(exported[0], backbone=other)
    with pytest.raises(ValueError, match=r"merged has its backbone in it, 'flow"):
        edges_of(exported[1], backbone=other)
    replaced = shutil.copytree(exported[1], tmp_path / "replaced")
    shutil.copytree(other / "unet", replaced / "unet", dirs_exist_ok=True)
    with pytest.raises(ValueError, match=r"belong to backbone 'flow.*weights differ"):
        edges_of(replaced)
    shutil.rmtree(replaced)
    with pytest.raises(FileNotFoundError, match=r"belongs to backbone 'flow.*--backbone"):
        edges_of(exported[0])
    with pytest.raises(ValueError, match="weights differ"):
        export_student(checkpoint, tmp_path / "out", backbone=other)
    with pytest.raises(FileNotFoundError, match="--backbone"):
        export_student(checkpoint, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other"]


def test_folders_are_replaced_only_when_that_is_safe(checkpoint, flow_folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    export_student(checkpoint, out, backbone=flow_folder)
    with pytest.raises(ValueError, match="not empty"):
        export_student(checkpoint, out, backbone=flow_folder)
    export_student(checkpoint, out, backbone=flow_folder, merge=True, overwrite=True)
    export_student(checkpoint, out, backbone=flow_folder, overwrite=True)
    assert files_of(out) == {"README.md", "student.safetensors", "trace_student.json"}
    (out / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"not just an export \(thesis\.tex\)"):
        export_student(checkpoint, out, backbone=flow_folder, overwrite=True)
    with pytest.raises(ValueError, match="is not a folder"):
        export_student(checkpoint, out / "thesis.tex", backbone=flow_folder, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failure_leaves_what_was_there(checkpoint, flow_folder, tmp_path, monkeypatch):
    out = export_student(checkpoint, tmp_path / "out", backbone=flow_folder)
    before = {name: (out / name).read_bytes() for name in files_of(out)}
    killed = tmp_path / f".1{TEMPORARY_SUFFIX}" / "unet"
    killed.mkdir(parents=True)
    for folder in (killed, killed.parent):
        os.utime(folder, (0, 0))

    def fail(*arguments, **options):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("trace_mm.publish.export.render_card", fail)
        for target in (out, tmp_path / "new"):
            with pytest.raises(OSError, match="disk full"):
                export_student(checkpoint, target, backbone=flow_folder, overwrite=True)
    assert {name: (out / name).read_bytes() for name in files_of(out)} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_images_of_a_training_are_named(checkpoint, flow_folder, tmp_path):
    source = {"type": "CocoImages", "data_root": "/home/someone/coco", "size": (8, 8)}
    dataset = {"type": "UnlabelledImageDataset", "source": source}
    text = Config({"train_dataloader": {"batch_size": 2, "dataset": dataset}}).pretty_text
    content = {**torch.load(checkpoint), "meta": {"cfg": f"import os\n{text}", "iter": 9}}
    torch.save(content, tmp_path / "iter_9.pth")
    out = export_student(tmp_path / "iter_9.pth", tmp_path / "out", backbone=flow_folder)
    card = (out / "README.md").read_text()
    assert "| trained on | CocoImages (data_root coco, size [8, 8]) |" in card


@pytest.mark.parametrize(
    "config",
    ["", "train_dataloader = dict(", "train_dataloader = build()", "train_dataloader = dict()"],
)
def test_configs_that_do_not_name_their_images(config):
    assert training_images(config) is None


def test_a_student_inside_its_backbone(checkpoint, flow_folder, expected, tmp_path, monkeypatch):
    backbone = shutil.copytree(flow_folder, tmp_path / "weights" / "tiny")
    with pytest.raises(ValueError, match=r"has no student.*--backbone"):
        edges_of(backbone)
    plain = TraceInferencer(backbone, method="teacher", **OPTIONS).settings()
    folder = export_student(checkpoint, backbone / "student", backbone=backbone)
    assert 'TraceInferencer("tiny")' in (folder / "README.md").read_text()
    np.testing.assert_array_equal(edges_of(backbone), expected)
    assert TraceInferencer(backbone, method="teacher", **OPTIONS).settings() == plain
    for module in ("diffusion.pretrained", "models.model_config", "models.student_folder"):
        monkeypatch.setattr(f"trace_mm.{module}.shipped_models", lambda: {"tiny": backbone})
    monkeypatch.setattr("trace_mm.models.model_config.DEFAULT_STUDENT", "tiny")
    for name in (None, "tiny"):
        np.testing.assert_array_equal(edges_of(name), expected)


def test_damaged_markers_are_named(exported, flow_folder, tmp_path):
    folder = shutil.copytree(exported[0], tmp_path / "copy")
    for text in ("{", "[]", '{"format": 7}'):
        (folder / "trace_student.json").write_text(text)
        with pytest.raises(
            ValueError, match=r"trace_student\.json(: not valid JSON| is not of format)"
        ):
            edges_of(folder, backbone=flow_folder)
    (folder / "trace_student.json").unlink()  # as save_student leaves a folder
    assert edges_of(folder, backbone=flow_folder).shape == IMAGE.shape[:2]


def test_hub_ids(exported, expected, monkeypatch):
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    def missing(kind):
        def download(name, *others):
            raise kind("no such thing")

        return download

    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda name, file: file)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name: str(exported[1]))
    np.testing.assert_allclose(edges_of("owner/name"), expected, atol=1e-5)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", missing(EntryNotFoundError))
    with pytest.raises(ValueError, match=r"owner/name has no student.*--backbone"):
        edges_of("owner/name")
    for kind in (LocalEntryNotFoundError, OSError):
        monkeypatch.setattr("huggingface_hub.hf_hub_download", missing(kind))
        with pytest.raises(FileNotFoundError, match="owner/name is no folder here"):
            edges_of("owner/name")
    assert os.fspath(student_folders.find_student(str(exported[1])).path) == str(exported[1])


def test_what_is_read_is_not_replaced(checkpoint, flow_folder, tmp_path):
    out = export_student(checkpoint, tmp_path / "out", backbone=flow_folder)
    before = {name: (out / name).read_bytes() for name in files_of(out)}
    (tmp_path / "link").symlink_to(out)
    for source in (out, tmp_path / "link", out / "student.safetensors"):
        with pytest.raises(ValueError, match="which is read"):
            export_student(source, out, backbone=flow_folder, overwrite=True)
    with pytest.raises(ValueError, match="which is read"):
        export_student(checkpoint, tmp_path / "link", backbone=out, overwrite=True)
    assert {name: (out / name).read_bytes() for name in files_of(out)} == before
