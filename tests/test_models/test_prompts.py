"""Prompts through teacher, student, cache and command: an image's own, by its name."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from tests.tiny_students import build, shake
from trace_mm.apis import TraceInferencer
from trace_mm.cli import main
from trace_mm.datasets import PseudoEdgeCache, UnlabelledImageDataset
from trace_mm.jobs.edge_sources import EdgeModel
from trace_mm.jobs.pseudo_edges import PseudoEdgeJob, TeacherEntries
from trace_mm.models import TraceTeacher
from trace_mm.models.identity import describe_model
from trace_mm.runs.engine import run
from trace_mm.structures import EdgeDataSample

pytestmark = pytest.mark.filterwarnings("ignore:only the first")
TEXTS = {"one": "a aa", "two": "aaa a", "empty": ""}


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps(TEXTS))
    return path


@pytest.fixture
def photos(tmp_path):
    """The same photo under several names, so that only the prompts tell them apart."""
    folder = tmp_path / "photos"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    for name in TEXTS:
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def sample(name):
    return EdgeDataSample(metainfo={"image_id": name, "img_path": f"{name}.png"})


def edges_by_name(model, names):
    image = torch.rand(3, 16, 24, generator=torch.Generator().manual_seed(0))
    found = model.predict([image] * len(names), [sample(name) for name in names])
    return {name: one.pred_edges for name, one in zip(names, found, strict=True)}


@pytest.mark.parametrize("tile", [None, 12])
@pytest.mark.parametrize("make", ["teacher", "student"])
def test_an_image_is_read_under_its_own_prompt(sd15_folder, prompts, make, tile):
    def model(**backbone):
        if make == "student":
            return shake(build(sd15_folder, backbone=backbone, tile=tile, size=16)).eval()
        source = {"pretrained": str(sd15_folder), **backbone}
        return TraceTeacher(source, timestep=300, tile=tile, size=16)

    told, plain = model(prompts=str(prompts)), edges_by_name(model(), ["one"])["one"]
    found = edges_by_name(told, ["one", "two", "empty"])
    assert torch.equal(found["empty"], plain)  # the same bytes
    assert not torch.equal(found["one"], plain) and not torch.equal(found["one"], found["two"])
    assert torch.equal(edges_by_name(told, ["two", "one"])["one"], found["one"])
    with pytest.raises(ValueError, match=r"other\.png has no prompt in"):
        edges_by_name(told, ["one", "other"])


def test_the_search_runs_under_the_prompt(sd15_folder, prompts):
    def scores(**backbone):
        teacher = TraceTeacher(
            {"pretrained": str(sd15_folder), **backbone}, timesteps=[100, 500], timestep_batch=2
        )
        return teacher.predict([torch.ones(3, 16, 16) / 3], [sample("one")])[0].scores

    assert scores() != scores(prompts=str(prompts))


def test_training_asks_teacher_and_student_with_the_prompts_of_the_batch(sd15_folder, prompts):
    images = [torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(n)) for n in range(2)]

    def losses(names, **backbone):
        teacher = {"timestep": 300}
        student = shake(build(sd15_folder, backbone=backbone, teacher=teacher, timestep=500))
        found = student(images, [sample(name) for name in names], mode="loss")
        return {name: float(value.mean()) for name, value in found.items()}

    plain, told = losses(["a", "b"]), losses(["one", "two"], prompts=str(prompts))
    assert losses(["empty", "empty"], prompts=str(prompts)) == plain
    assert told["loss_reconstruction"] != plain["loss_reconstruction"]
    assert told != losses(["two", "one"], prompts=str(prompts))
    with pytest.raises(ValueError, match=r"other\.png has no prompt"):
        losses(["one", "other"], prompts=str(prompts))


def test_identity_knows_the_content_of_the_file(sd15_folder, prompts, tmp_path):
    def described(**backbone):
        backbone = {"pretrained": str(sd15_folder), **backbone}
        return describe_model({"type": "TraceTeacher", "backbone": backbone})

    plain, told = described(), described(prompts=str(prompts))
    assert described(prompts=None) == plain
    assert set(told) - set(plain) == {"backbone.prompts"}
    moved = prompts.rename(tmp_path / "moved.json")
    assert described(prompts=str(moved)) == told
    moved.write_text(json.dumps({**TEXTS, "one": "a"}))
    assert described(prompts=str(moved)) != told
    moved.write_text("[]")
    with pytest.raises(ValueError, match="are a JSON object"):
        described(prompts=str(moved))


def test_the_cache_keeps_copies_of_a_photo_with_other_prompts_apart(
    sd15_folder, prompts, photos, tmp_path
):
    backbone = {"pretrained": str(sd15_folder), "prompts": str(prompts)}
    teacher = {"type": "TraceTeacher", "backbone": backbone, "timestep": 300}
    settings = {"folder": tmp_path / "cache", "teacher": teacher}
    source = {"type": "ImageFolder", "data_root": str(photos)}
    dataset = UnlabelledImageDataset(source, size=16, pseudo_edges=settings)
    job = PseudoEdgeJob(dataset, TeacherEntries(EdgeModel(teacher, "cpu")))
    filled = run(job, batch_size=2, show_progress=False)
    assert len(filled.done) == 3 and not filled.failed
    edges = {
        dataset[n]["data_samples"].image_id: dataset[n]["data_samples"].pseudo_edges
        for n in range(3)
    }
    assert len({tuple(part.flatten().tolist()) for part in edges.values()}) == 3
    plain = {**teacher, "backbone": {"pretrained": str(sd15_folder)}}
    cache = PseudoEdgeCache(tmp_path / "cache", plain)
    assert cache.key("digest", None, "one") == cache.key("digest", None)


def test_the_command_reads_each_photo_under_its_prompt(
    sd15_folder, prompts, photos, tmp_path, capsys
):
    out = tmp_path / "out"
    command = ["edges", str(photos), "--backbone", str(sd15_folder), "--device", "cpu", "--quiet"]
    command += ["--timestep", "300"]
    assert main([*command, "--out", str(out), "--prompts", str(prompts)]) == 0
    assert main([*command, "--out", str(tmp_path / "plain")]) == 0
    told = {name: (out / "edges" / f"{name}.png").read_bytes() for name in TEXTS}
    plain = {name: (tmp_path / "plain" / "edges" / f"{name}.png").read_bytes() for name in TEXTS}
    assert len(set(told.values())) == 3 and len(set(plain.values())) == 1
    assert told["empty"] == plain["empty"]
    assert main([*command, "--out", str(out)]) == 2  # other settings
    assert "prompts" in capsys.readouterr().err
    (photos / "one.png").rename(photos / "nameless.png")
    again = tmp_path / "again"
    assert main([*command, "--out", str(again), "--prompts", str(prompts)]) == 1
    assert "nameless" in capsys.readouterr().err


def test_the_inferencer_takes_them(sd15_folder, prompts, photos):
    inferencer = TraceInferencer(
        backbone=sd15_folder, device="cpu", timestep=300, prompts=prompts, show_progress=False
    )
    found = inferencer([str(photos / "one.png"), str(photos / "two.png")])["predictions"]
    assert not np.array_equal(found[0]["edges"], found[1]["edges"])
    with pytest.raises(ValueError, match="VisionTeacher takes no prompts"):
        TraceInferencer(
            {"type": "VisionTeacher", "backbone": {"pretrained": "timm:x"}}, prompts=prompts
        )
