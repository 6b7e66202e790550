"""App. E.1 by tools/reproduce.py: a full run on tiny data, with a tiny model that reads text."""

import json
import shutil
import string
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from tests.reproduced import module, planned, run_here, settings
from tests.touching_squares import change_json, image_name, write_data
from tools import cache_null_text, reproduce
from tools.dataset_converters import prompts as prompts_tool
from trace_mm.apis.testing import testing_config as read_testing_config
from trace_mm.engine.runner_config import read_config
from trace_mm.registry import MODELS
from trace_mm.structures import EdgeDataSample

catalog, experiment, parts, running = map(module, ("catalog", "experiment", "parts", "running"))
SIDE = 16
TRAINING = "prompts/training.json"
LENGTH = 40


def steps_of(one):
    return {step.name: step.command for step in one.steps}


def test_student_and_teacher_learn_by_the_prompts_and_only_in_their_row(tmp_path):
    one = planned("e1", tmp_path, False)
    steps, file = steps_of(one), str(tmp_path / TRAINING)
    command = steps["train-prompts"]
    cfg = read_config(command[2], settings(command))
    dataset = cfg.train_dataloader.dataset
    assert cfg.model.backbone.prompts == dataset.pseudo_edges.teacher.backbone.prompts == file
    others = [name for name, command in steps.items() if "prompts" in " ".join(command)]
    assert sorted(others) == [
        *("embed-coco2014", "embed-training", "prompts-coco2014", "prompts-training"),
        *("scores-promerge-prompts-coco2014", "train-prompts"),
    ]
    assert [row.paper["AP"] for row in one.rows] == [3.1, 8.2, 8.3]
    assert len({row.ours["AP"].file for row in one.rows}) == 3
    told = steps["scores-promerge-prompts-coco2014"]
    plain = steps["scores-promerge-trace-coco2014"]
    shown = str(tmp_path / "prompts/coco2014.json")
    assert settings(told) == {**settings(plain), "model.edges.backbone.prompts": shown}
    cfg = read_testing_config(told[2], settings(told))
    assert cfg.model.edges.backbone.prompts == shown


def test_options_of_its_tools_are_known(tmp_path):
    tools = {"prompts.py": prompts_tool, "cache_null_text.py": cache_null_text}
    seen = 0
    for command in steps_of(planned("e1", tmp_path, False)).values():
        tool = tools.get(command[1].rpartition("/")[2])
        if tool is not None:
            tool.make_parser().parse_args(command[2:])
            seen += 1
    assert seen == 4


def test_there_is_no_mini_run(monkeypatch, capsys):
    assert {*catalog.names()} - {*catalog.names(mini=True)} == {"e1"}
    with pytest.raises(ValueError, match=r"^App\. E\.1 has no mini run: .* no text encoder"):
        catalog.EXPERIMENTS["e1"](experiment.Setting(running.ROOT, mini=True))
    for options, count in ((["--list"], 1), (["--list", "--mini"], 0)):
        monkeypatch.setattr("sys.argv", ["reproduce.py", *options])
        assert reproduce.main() == 0
        assert capsys.readouterr().out.count("App. E.1") == count


@pytest.fixture
def reader(sd15_folder, tmp_path):
    """A tiny model whose text encoder tells letters and numbers apart."""
    folder = shutil.copytree(sd15_folder, tmp_path / "model")
    letters = string.ascii_lowercase + string.digits
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{one}</w>" for one in letters)]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=LENGTH)
    torch.manual_seed(2)
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=12,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        max_position_embeddings=LENGTH,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    for part, made in (("text_encoder", CLIPTextModel(config)), ("tokenizer", tokenizer)):
        shutil.rmtree(folder / part)
        made.save_pretrained(folder / part)
    return folder


def write_benchmark(data):
    """COCO 2014 val of two photos, one with two objects and one with a single one."""
    write_data(data / "coco", 2)
    for old, new in (
        ("photos", "val2014"),
        ("instances.json", "annotations/instances_val2014.json"),
        ("masks.json", "masks/promerge_coco2014.json"),
    ):
        (data / "coco" / new).parent.mkdir(exist_ok=True)
        (data / "coco" / old).rename(data / "coco" / new)
    truth = data / "coco/annotations/instances_val2014.json"
    shutil.copy(truth, truth.with_name("instances_val2014_agnostic.json"))

    def edit(content):
        content["categories"] = [{"id": 1, "name": "dog"}]
        content["annotations"].pop()

    change_json(truth, edit)


def write_training_data(data):
    """ImageNet of three images, the last without boxes, and photos to score a student on."""
    write_data(data / "coco_photos", 2)
    (data / "coco_photos/photos").rename(data / "coco_photos/images")
    images, boxes = data / "imagenet/train/n1", data / "imagenet/Annotations/CLS-LOC/train/n1"
    images.mkdir(parents=True)
    boxes.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(3):
        pixels = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"n1_{number}.JPEG", format="JPEG")
        objects = "<object><name>n1</name></object>" * (number + 1)
        if number < 2:
            (boxes / f"n1_{number}.xml").write_text(f"<annotation>{objects}</annotation>")
    (data / "imagenet/LOC_synset_mapping.txt").write_text("n1 cat, tomcat\n")


def in_small(step, folder, tmp_path):
    """A step of the full run with the tiny model in place of the published one."""
    command = [str(folder) if part == "sd15" else part for part in step.command]
    if step.name.startswith("train-"):
        teacher = "train_dataloader.dataset.pseudo_edges.teacher"
        command += [f"pretrained={folder}", f"{teacher}.timestep=300", f"model.size={SIDE}"]
        command += [f"train_dataloader.dataset.pseudo_edges.folder={tmp_path / 'pseudo_edges'}"]
        command += [f"train_dataloader.dataset.size={SIDE}", "train_dataloader.batch_size=2"]
        command += ["max_iters=2", "train_cfg.val_interval=2", "model.decoder.tokens=64"]
        for loader in ("train", "val"):
            command += [f"{loader}_dataloader.num_workers=0"]
        command += ["train_dataloader.persistent_workers=False", "val_evaluator.workers=1"]
    if "--edges-from" in command:  # published backbones are found by the checkpoint's hub id
        command += [f"model.edges.backbone.pretrained={folder}"]
    return replace(step, command=tuple(command))


@pytest.mark.slow
def test_a_student_learns_and_predicts_by_prompts(reader, tmp_path, monkeypatch):
    """Each step of the full run, then what the student that it trained makes of its prompts."""
    monkeypatch.setattr(running, "_run", run_here)
    monkeypatch.setattr(parts, "ITERATIONS", 2)
    write_benchmark(tmp_path / "data")
    write_training_data(tmp_path / "data")
    work = tmp_path / "work"
    setting = experiment.Setting(work, tmp_path / "data", backbone="sd15", size=SIDE, device="cpu")
    one = catalog.EXPERIMENTS["e1"](setting)
    assert not any(need.missing(setting.data) for need in one.needs)
    steps = [in_small(step, reader, tmp_path) for step in one.steps]
    running.run_steps(steps, setting)
    assert all(row.ours["AP"].value() is not None for row in one.rows)

    known = json.loads((work / TRAINING).read_text())
    assert known["n1_0"] == "A photo of 1 cat" and known["n1_1"] == "A photo of 2 cats"
    assert known["n1_2"] == "" and known[image_name(1)] == "A photo of 2 objects"
    (told,) = (step.command for step in steps if step.name == "scores-promerge-prompts-coco2014")
    source = told[told.index("--edges-from") + 1]
    student = MODELS.build(
        read_testing_config(told[2], settings(told), edges_from=source).model.edges
    )
    image = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))

    def edges(name):
        sample = EdgeDataSample(metainfo={"img_path": f"val2014/{name}.png"})
        return student.predict([image], [sample])[0].pred_edges

    assert not torch.equal(edges(image_name(1)), edges(image_name(2)))  # 2 dogs, 1 dog
    with pytest.raises(ValueError, match=r"val2014/other\.png has no prompt in .*coco2014\.json"):
        edges("other")
    weights = [
        torch.load(work / "trainings" / name / "iter_2.pth", weights_only=True)["state_dict"]
        for name in ("trace_sd15_lora64_imagenet", "prompts")
    ]
    assert any(
        not torch.equal(value, weights[1][name])
        for name, value in weights[0].items()
        if isinstance(value, torch.Tensor)
    )
