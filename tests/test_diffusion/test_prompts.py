"""Prompts of images: which is whose, what they are embedded to, and what they change."""

import json
import shutil

import pytest
import torch
from transformers import CLIPTextModel

from tests.conftest import SAVED_BY
from tests.test_diffusion.test_null_text import encoded_by_pipeline
from tests.tiny_pipelines import load_pipeline
from trace_mm.diffusion import load_backbone, prompt_files, text_encoders
from trace_mm.diffusion.null_text import read_embeddings, write_null_text
from trace_mm.diffusion.null_text_files import cache_path
from trace_mm.diffusion.prompts import Prompts, stack_embeddings
from trace_mm.structures import EdgeDataSample

TEXTS = {"one": "a aa", "two": "aaa a", "empty": ""}


def written(folder, content):
    path = folder / "prompts.json"
    path.write_text(json.dumps(content))
    return path


def sample(name):
    return EdgeDataSample(metainfo={"image_id": name, "img_path": f"/photos/{name}.jpg"})


@pytest.mark.filterwarnings("ignore:only the first")
@pytest.mark.parametrize("name", SAVED_BY)
@torch.no_grad()
def test_they_are_what_the_pipeline_encodes_and_change_the_attention(
    model_folder, tmp_path, monkeypatch, name
):
    monkeypatch.setattr(text_encoders, "_T5_DTYPE", torch.float32)
    folder = model_folder(name)
    plain = load_backbone(folder)
    backbone = load_backbone(folder, prompts=written(tmp_path, TEXTS))
    pipeline = load_pipeline(folder, t5=torch.float32)
    for key, text in TEXTS.items():
        expected = encoded_by_pipeline(pipeline, name, text)
        found = backbone.text_of([sample(key)])
        assert found.keys() == expected.keys()
        for part, value in expected.items():
            torch.testing.assert_close(found[part], value.float(), atol=1e-5, rtol=1e-5)
    latents = torch.randn(1, backbone.vae.config.latent_channels, 8, 12)
    attention = [backbone.attention(latents, 300, backbone.text_of([sample(k)])) for k in TEXTS]
    assert torch.equal(attention[2], plain.attention(latents, 300))
    assert not torch.equal(attention[0], attention[2])
    assert not torch.equal(attention[0], attention[1])


@pytest.mark.filterwarnings("ignore:only the first")
@pytest.mark.parametrize("name", ["sd15", "pixart-alpha", "sd3", "flux-schnell"])
@torch.no_grad()
def test_a_batch_of_several_prompts_is_each_image_alone(model_folder, tmp_path, name):
    """Of PixArt, whose prompts differ in length, padding is hidden."""
    backbone = load_backbone(model_folder(name), prompts=written(tmp_path, TEXTS))
    channels = backbone.vae.config.latent_channels
    latents = torch.randn(3, channels, 8, 12)
    samples = [sample(key) for key in TEXTS]
    together = backbone.attention(latents, 300, backbone.text_of(samples))
    for number, one in enumerate(samples):
        alone = backbone.attention(latents[number : number + 1], 300, backbone.text_of([one]))
        torch.testing.assert_close(together[number : number + 1], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:only the first")
def test_each_prompt_is_embedded_once_and_encoders_are_loaded_for_new_ones_only(
    model_folder, tmp_path, monkeypatch
):
    folder = shutil.copytree(model_folder("sdxl"), tmp_path / "model")
    embedded = []
    encode = text_encoders.TextEncoders.encode

    def count(self, number, prompt, *others):
        embedded.append((number, prompt))
        return encode(self, number, prompt, *others)

    monkeypatch.setattr(text_encoders.TextEncoders, "encode", count)
    content = {**TEXTS, "same": TEXTS["one"]}
    first = load_backbone(folder, prompts=written(tmp_path, content)).text_of([sample("same")])
    assert sorted(embedded) == sorted((n, text) for n in (1, 2) for text in TEXTS.values())
    load_backbone(folder, prompts=written(tmp_path, {**content, "new": "a"}))
    assert embedded[6:] == [(1, "a"), (2, "a")]
    for part in [*folder.glob("text_encoder*"), *folder.glob("tokenizer*")]:
        shutil.rmtree(part)
    again = load_backbone(folder, prompts=written(tmp_path, content)).text_of([sample("one")])
    assert all(torch.equal(again[key], value) for key, value in first.items())
    with pytest.raises(ValueError, match="lacks text_encoder"):
        load_backbone(folder, prompts=written(tmp_path, {"x": "a a a"}))


@pytest.mark.filterwarnings("ignore:only the first")
def test_changed_encoders_embed_anew(model_folder, tmp_path):
    folder = shutil.copytree(model_folder("sd15"), tmp_path / "model")
    prompts = written(tmp_path, TEXTS)
    before = load_backbone(folder, prompts=prompts).text_of([sample("one")])["prompt_embeds"]
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder")
    encoder.get_input_embeddings().weight.data += 1
    encoder.save_pretrained(folder / "text_encoder")
    after = load_backbone(folder, prompts=prompts).text_of([sample("one")])["prompt_embeds"]
    assert not torch.equal(after, before)


@pytest.mark.filterwarnings("ignore:only the first")
def test_embeddings_are_read_when_an_image_is_shown(model_folder, tmp_path, monkeypatch):
    """Those of a benchmark are more than the memory holds, and take minutes to read."""
    folder, prompts = model_folder("sd15"), written(tmp_path, TEXTS)
    load_backbone(folder, prompts=prompts)
    read = []

    def noted(path):
        read.append(path)
        return read_embeddings(path)

    monkeypatch.setattr(prompt_files, "read_embeddings", noted)
    backbone = load_backbone(folder, prompts=prompts)
    assert not read
    backbone.text_of([sample("one"), sample("one")])
    assert read == [cache_path(str(folder), None, TEXTS["one"])]


def test_a_damaged_file_is_named(model_folder, tmp_path):
    folder, prompts = model_folder("sd15"), written(tmp_path, {"one": "a"})
    load_backbone(folder, prompts=prompts)
    path = cache_path(str(folder), None, "a")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match=rf"{path.name} is damaged, delete it"):
        load_backbone(folder, prompts=prompts)


def test_a_prompt_must_have_as_many_tokens_as_the_joint_attention_expects(model_folder, tmp_path):
    """A stored null text of another length would make the image's tokens be taken for text."""
    folder = shutil.copytree(model_folder("sd3"), tmp_path / "model")
    short = {k: v[:, :5] if v.ndim == 3 else v for k, v in load_backbone(folder).null_text.items()}
    write_null_text(folder / "null_text.safetensors", short)
    backbone = load_backbone(folder, prompts=written(tmp_path, {"one": "a"}))
    with pytest.raises(ValueError, match="has 263 tokens, but the empty one 5"):
        backbone.text_of([sample("one")])


def test_a_prompt_that_is_cut_is_told(model_folder, tmp_path):
    with pytest.warns(UserWarning, match="only the first 7 of 12 tokens of this prompt are read"):
        load_backbone(model_folder("sd15"), prompts=written(tmp_path, {"one": "a " * 10}))


def test_a_pass_that_names_no_image_is_refused(model_folder, tmp_path):
    backbone = load_backbone(model_folder("sd15"), prompts=written(tmp_path, {"one": "a"}))
    with pytest.raises(ValueError, match="has prompts"):
        backbone.attention(torch.randn(1, 4, 8, 8), 300)
    with pytest.raises(ValueError, match="prompts of 2 images for 3"):
        text = backbone.text_of([sample("one")] * 2)
        backbone.attention(torch.randn(3, 4, 8, 8), 300, text)


def test_which_prompt_is_whose(tmp_path):
    prompts = Prompts(
        written(tmp_path, {"cats/1": "of a path", "1": "of a stem", "b.2": "of dots"})
    )
    assert prompts.of("cats/1") == prompts.of("cats/1.jpg") == "of a path"
    assert prompts.of("dogs/1") == prompts.of("/data/dogs/1.jpg") == "of a stem"
    assert prompts.of("b.2", "/data/b.2.png") == prompts.of("b.2.png") == "of dots"
    assert prompts.texts == ["of a path", "of a stem", "of dots"]
    assert prompts.of_sample(EdgeDataSample(metainfo={"image_id": 7, "img_path": "x/1.png"}))
    with pytest.raises(ValueError, match=r"/data/3\.jpg has no prompt in .*prompts\.json"):
        prompts.of("3", "/data/3.jpg")
    with pytest.raises(ValueError, match="an image without a name has no prompt"):
        prompts.of_sample(EdgeDataSample())


@pytest.mark.parametrize(
    ("content", "words"),
    [([], "are a JSON object"), ({}, "are a JSON object"), ({"a": 3}, "'a' is no text: 3")],
)
def test_files_of_something_else_are_refused(tmp_path, content, words):
    with pytest.raises(ValueError, match=words):
        Prompts(written(tmp_path, content))


def test_embeddings_of_different_lengths_are_padded_and_masked():
    parts = [
        {"prompt_embeds": torch.ones(1, length, 2), "p": torch.ones(1, 3)} for length in (1, 3)
    ]
    found = stack_embeddings(parts)
    assert found["prompt_mask"].tolist() == [[True, False, False], [True, True, True]]
    assert found["prompt_embeds"].sum(2).tolist() == [[2, 0, 0], [2, 2, 2]]
    assert found["p"].shape == (2, 3)
    assert "prompt_mask" not in stack_embeddings(parts[:1] * 2)
