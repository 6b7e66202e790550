"""What the documentation shows runs."""

from pathlib import Path

import pytest
import torch
from diffusers import (
    AuraFlowPipeline,
    AuraFlowTransformer2DModel,
    FlowMatchEulerDiscreteScheduler,
)
from transformers import UMT5Config, UMT5EncoderModel

from tests.documented_commands import documented_block
from tests.tiny_models import save_model, tiny_vae
from tests.tiny_transformers import t5_encoder
from trace_mm.apis import TraceInferencer
from trace_mm.catalogue import CATALOGUE
from trace_mm.diffusion import FAMILIES, load_backbone
from trace_mm.files.shards import ShardWriter, read_shard
from trace_mm.files.stores import put_bytes, read_bytes

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture
def auraflow(tmp_path):
    """A tiny AuraFlow, saved like the published one."""
    torch.manual_seed(0)
    transformer = AuraFlowTransformer2DModel(
        sample_size=8,
        patch_size=2,
        num_mmdit_layers=1,
        num_single_dit_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=12,
        caption_projection_dim=16,
        pos_embed_max_size=64,
    )
    parts = {
        "transformer": transformer,
        "vae": tiny_vae(),
        "scheduler": FlowMatchEulerDiscreteScheduler(),
    }
    t5, tokenizer = t5_encoder(12)
    encoder = UMT5EncoderModel(UMT5Config(**t5.config.to_diff_dict()))
    return save_model(tmp_path / "auraflow", "AuraFlowPipeline", parts, [(encoder, tokenizer)])


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=lambda entry: entry.name)
def test_backbones_are_described_as_in_the_catalogue(entry):
    text = (DOCS / "backbones.md").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith(f"| `{entry.name}` |")]
    for fact in (entry.pretrained.removeprefix("timm:"), f"{entry.parameters:.2f} B", entry.size):
        assert str(fact) in line
    assert ("(gated)" in line) == entry.gated


def test_a_family_of_your_own(auraflow, tmp_path, monkeypatch):
    """docs/backbones.md: one file and a config, and edges can be read."""
    example = documented_block("docs/backbones.md", "family example")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_auraflow.py").write_text(example)
    config = tmp_path / "config.py"
    config.write_text(
        "custom_imports = dict(imports=['my_auraflow'])\n"
        f"model = dict(type='TraceTeacher', backbone=dict(pretrained={str(auraflow)!r}))\n"
    )
    try:
        edges = TraceInferencer(backbone=config, device="cpu", show_progress=False)(
            torch.rand(16, 24, 3).numpy()
        )["predictions"][0]["edges"]
        assert edges.shape == (16, 24) and edges.max() == 1
        backbone = load_backbone(auraflow)
        pipeline = AuraFlowPipeline.from_pretrained(
            auraflow, torch_dtype={"text_encoder": torch.bfloat16, "default": torch.float32}
        )
        expected, *_ = pipeline.encode_prompt("", do_classifier_free_guidance=False)
        torch.testing.assert_close(backbone.null_text["prompt_embeds"], expected.float())
        latents = torch.randn(2, 4, 8, 12)
        with torch.no_grad():
            output, attention = backbone.denoise_and_attend(latents, 500)
        assert len(backbone.layers) == 3 and output.shape == latents.shape
        assert attention.shape == (2, 24, 24)
        torch.testing.assert_close(attention.sum(-1), torch.ones(2, 24))
    finally:
        FAMILIES.pop("AuraFlowTransformer2DModel", None)


def test_shards_of_your_own():
    """docs/runs.md: what is done already is left alone, and each sample of a shard is read."""
    photos = [f"memory://photos/00000{number}.tar" for number in range(2)]
    for number, address in enumerate(photos):
        with ShardWriter(address) as shard:
            shard.add("a/1", {"jpg": bytes(number)})
            shard.add("a/2", {"jpg": b"four", "json": b"{}"})
    put_bytes("memory://sizes/000000.tar", b"done")
    exec(documented_block("docs/runs.md", "shards example"), {})
    assert read_bytes("memory://sizes/000000.tar") == b"done"
    found = {sample.key: sample.files for sample in read_shard("memory://sizes/000001.tar")}
    assert found == {"a/1": {"txt": b"1"}, "a/2": {"txt": b"4"}}
