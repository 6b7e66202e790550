"""The empty prompt: what it is, and that it is made once."""

import shutil

import pytest
import torch
from transformers import CLIPTextModel

from tests.conftest import SAVED_BY
from tests.tiny_pipelines import load_pipeline
from tests.tiny_transformers import save_sd3
from trace_mm.diffusion import load_backbone, null_text
from trace_mm.diffusion.null_text_files import cache_path


@torch.no_grad()
def encoded_by_pipeline(pipeline, name, prompt=""):
    """Embeddings of a prompt by the names that our families give them."""
    if name.startswith("flux"):
        tokens = 512 if name == "flux-dev" else 256  # of the published examples
        found, pooled, _ = pipeline.encode_prompt(prompt, max_sequence_length=tokens)
        return {"prompt_embeds": found, "pooled_projections": pooled}
    if name.startswith("sd3"):
        found, _, pooled, _ = pipeline.encode_prompt(prompt, prompt, prompt)
        return {"prompt_embeds": found, "pooled_projections": pooled}
    if name == "sdxl":
        found, _, pooled, _ = pipeline.encode_prompt(prompt)
        return {"prompt_embeds": found, "text_embeds": pooled}
    if name.startswith("pixart"):
        found, mask, _, _ = pipeline.encode_prompt(prompt)
        assert prompt or mask.sum() == 1  # the end of the text: the rest is hidden from queries
        return {"prompt_embeds": found[:, mask[0].bool()]}
    found, _ = pipeline.encode_prompt(prompt, "cpu", 1, do_classifier_free_guidance=False)
    return {"prompt_embeds": found}


@pytest.mark.parametrize("name", SAVED_BY)
def test_it_is_what_the_pipeline_encodes(model_folder, name):
    folder = model_folder(name)
    expected = encoded_by_pipeline(load_pipeline(folder), name)
    found = load_backbone(folder).null_text
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        # T5 runs in half precision, in which its mask of padding may be rounded differently.
        tolerance = 1e-2 if name.startswith("pixart") else 1e-6
        torch.testing.assert_close(found[key], value.float(), atol=tolerance, rtol=0)
        assert found[key].std() > 0.01


@torch.no_grad()
def test_padding_that_is_hidden_changes_nothing(model_folder):
    """PixArt's denoiser sees the padded prompt with a mask in the pipeline, one token here."""
    folder = model_folder("pixart-sigma")
    backbone = load_backbone(folder)
    prompt, mask, _, _ = load_pipeline(folder).encode_prompt("")
    prompt = torch.cat([backbone.null_text["prompt_embeds"], prompt[:, 1:].float()], dim=1)
    latents = torch.randn(1, 4, 8, 12)

    def run(**options):
        return backbone.denoiser(
            latents, prompt, torch.tensor([300]), added_cond_kwargs={}, **options
        ).sample[:, :4]

    found = backbone.denoise(latents, 300)
    torch.testing.assert_close(found, run(encoder_attention_mask=mask), atol=1e-6, rtol=1e-5)
    assert not torch.allclose(found, run(), atol=1e-3)  # without a mask padding does count


def test_zeros_stand_for_a_t5_that_is_left_out(tmp_path):
    folder = save_sd3(tmp_path, with_t5=False)
    pipeline = load_pipeline(folder, text_encoder_3=None, tokenizer_3=None)
    expected = encoded_by_pipeline(pipeline, "sd3")["prompt_embeds"]
    found = load_backbone(folder).null_text["prompt_embeds"]
    torch.testing.assert_close(found, expected)
    assert not found[:, 7:].any() and found.shape == (1, 7 + 256, 24)


@pytest.mark.parametrize("name", ["sdxl", "pixart-alpha", "sd3", "flux-dev"])
def test_encoders_are_needed_once(model_folder, tmp_path, name):
    folder = shutil.copytree(model_folder(name), tmp_path / "model")
    first = load_backbone(folder).null_text
    for part in [*folder.glob("text_encoder*"), *folder.glob("tokenizer*")]:
        shutil.rmtree(part)
    again = load_backbone(folder).null_text
    assert again.keys() == first.keys()
    assert all(torch.equal(again[key], value) for key, value in first.items())


def test_there_is_one_file_a_model_and_revision(model_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACE_MM_CACHE", str(tmp_path / "cache"))
    for name in ("sd15", "sd3", "sd15"):
        load_backbone(model_folder(name))
    stored = {cache_path(str(model_folder(name)), None) for name in ("sd15", "sd3")}
    assert set((tmp_path / "cache").iterdir()) == stored and len(stored) == 2
    paths = {cache_path("owner/name", revision) for revision in (None, "main", "fp16")}
    assert len(paths | {cache_path("owner/other", None)}) == 4


def test_a_changed_encoder_is_run_again(model_folder, tmp_path):
    folder = shutil.copytree(model_folder("sd15"), tmp_path / "model")
    before = load_backbone(folder).null_text["prompt_embeds"]
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder")
    encoder.get_input_embeddings().weight.data += 1
    encoder.save_pretrained(folder / "text_encoder")
    after = load_backbone(folder).null_text["prompt_embeds"]
    assert not torch.equal(after, before)
    shutil.rmtree(folder / "text_encoder")  # without it, what is cached counts
    assert torch.equal(load_backbone(folder).null_text["prompt_embeds"], after)


@pytest.mark.parametrize("name", ["pixart-sigma", "sd35", "flux-schnell"])
def test_stored_files_that_cannot_be_used_are_named(model_folder, name):
    folder = model_folder(name)
    other = load_backbone(model_folder("sd15")).null_text
    path = cache_path(str(folder), None)
    null_text.write_null_text(path, {**other, "pooled_projections": torch.zeros(1, 3)})
    with pytest.raises(ValueError, match=rf"{path.name}: the empty prompt's embeddings are"):
        load_backbone(folder)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match=rf"{path.name} is damaged, delete it"):
        load_backbone(folder)
    path.unlink()
    assert load_backbone(folder).null_text["prompt_embeds"].isfinite().all()


def test_a_write_that_fails_leaves_nothing(model_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACE_MM_CACHE", str(tmp_path / "cache"))

    def fail(tensors, path, metadata):
        path.write_bytes(b"half of a file")
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(null_text, "save_file", fail)
        with pytest.warns(UserWarning, match=r"are not kept.*disk full.*TRACE_MM_CACHE"):
            assert load_backbone(model_folder("flux-dev")).null_text
    assert not list((tmp_path / "cache").iterdir())
    load_backbone(model_folder("flux-dev"))
    assert len(list((tmp_path / "cache").iterdir())) == 1


@pytest.mark.parametrize("name", ["sdxl", "pixart-alpha", "sd3", "flux-dev"])
def test_without_encoders_and_cache_the_error_says_what_to_do(model_folder, tmp_path, name):
    folder = shutil.copytree(model_folder(name, 5), tmp_path / "model")
    (folder / "null_text.safetensors").unlink()
    with pytest.raises(ValueError, match=r"model has neither a text encoder.*cache_null_text\.py"):
        load_backbone(folder)


def test_a_folder_without_one_of_its_encoders_is_told_what_to_do(model_folder, tmp_path):
    folder = shutil.copytree(model_folder("sd3"), tmp_path / "model")
    shutil.rmtree(folder / "text_encoder_3")
    shutil.rmtree(folder / "tokenizer_2")
    words = r"has neither tokenizer_2, text_encoder_3 nor a null_text\.safetensors: copy that file"
    with pytest.raises(ValueError, match=words):
        load_backbone(folder)


def test_a_file_in_the_folder_comes_before_the_cache(model_folder, tmp_path):
    folder = shutil.copytree(model_folder("sd3"), tmp_path / "model")
    cached = load_backbone(folder).null_text
    shipped = {key: value + 1 for key, value in cached.items()}
    null_text.write_null_text(folder / "null_text.safetensors", shipped)
    assert torch.equal(load_backbone(folder).null_text["prompt_embeds"], shipped["prompt_embeds"])
