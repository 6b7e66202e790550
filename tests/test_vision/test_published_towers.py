"""The paper's five non-diffusion backbones at their published sizes, without memory for weights.

LLaVA's and Qwen2.5-VL's configs are those of llava-hf/llava-1.5-13b-hf and
Qwen/Qwen2.5-VL-72B-Instruct, as far as the vision tower goes.
"""

import pytest
import torch

from trace_mm.attention import AttentionWatch
from trace_mm.catalogue import CATALOGUE, TIMM_PREFIX
from trace_mm.vision.families import choose_layers, family_of
from trace_mm.vision.loading import tower_family

CONFIGS = {
    "llava-clip": {
        "model_type": "llava",
        "vision_config": {
            "model_type": "clip_vision_model",
            "hidden_size": 1024,
            "image_size": 336,
            "intermediate_size": 4096,
            "num_attention_heads": 16,
            "num_hidden_layers": 24,
            "patch_size": 14,
            "projection_dim": 768,
            "vocab_size": 32000,
        },
    },
    "qwen25-vl-72b": {
        "model_type": "qwen2_5_vl",
        "vision_config": {
            "depth": 32,
            "hidden_act": "silu",
            "hidden_size": 1280,
            "intermediate_size": 3456,
            "num_heads": 16,
            "in_chans": 3,
            "out_hidden_size": 8192,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "spatial_patch_size": 14,
            "window_size": 112,
            "fullatt_block_indexes": [7, 15, 23, 31],
            "tokens_per_second": 2,
            "temporal_patch_size": 2,
        },
    },
}
# Millions of parameters, layers that are read, tokens that are no patches, pixels of a patch, heads
PUBLISHED = {
    "dinov2-g": (1136.5, 40, 1, 14, 24),
    "eva02-e": (4348.7, 64, 1, 14, 16),
    "dinov3-7b": (6716.0, 40, 5, 16, 32),
    "llava-clip": (303.5, 24, 1, 14, 16),
    "qwen25-vl-72b": (704.6, 4, 0, 14, 16),
}


def build(name):
    """A tower without weights, as the loading code builds it."""
    pretrained = CATALOGUE[name].pretrained
    with torch.device("meta"):
        if pretrained.startswith(TIMM_PREFIX):
            timm = pytest.importorskip("timm")
            model = pretrained.removeprefix(TIMM_PREFIX)
            assert model in timm.list_pretrained()
            return timm.create_model(model, num_classes=0, dynamic_img_size=True).eval()
        family, options = tower_family(CONFIGS[name])
        config_class, tower_class = family.classes()
        options = {key: value for key, value in options.items() if key != "model_type"}
        return tower_class(config_class.from_dict(options)).eval()


@pytest.mark.parametrize("name", PUBLISHED)
def test_tower_is_as_documented(name):
    millions, count, prefix, patch, _ = PUBLISHED[name]
    tower = build(name)
    family, layers = family_of(tower), choose_layers(tower, None)
    parameters = sum(weights.numel() for weights in tower.parameters())
    assert parameters / 1e6 == pytest.approx(millions, abs=0.1)
    assert len(layers) == count
    assert {layer.stride for layer in layers} == {patch}
    assert {layer.image_tokens.start or 0 for layer in layers} == {prefix}
    size = CATALOGUE[name].size
    assert size % family.size_multiple(tower) == 0 and size // patch == 64
    if name == "qwen25-vl-72b":
        assert [layer.name for layer in layers] == [f"blocks.{n}.attn" for n in (7, 15, 23, 31)]


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name != "qwen25-vl-72b"])
def test_every_layer_sees_64_by_64_patches(name):
    _, count, prefix, _, heads = PUBLISHED[name]
    tower, seen = build(name), []
    size = CATALOGUE[name].size
    with (
        torch.no_grad(),
        AttentionWatch(
            choose_layers(tower, None), lambda layer, call: seen.append(call.query.shape[:3])
        ),
    ):
        family_of(tower).call(tower, torch.zeros(1, 3, size, size, device="meta"))
    assert seen == [(1, heads, prefix + 64 * 64)] * count


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_catalogue_knows_its_size(name):
    entry = CATALOGUE[name]
    assert entry.teacher == "VisionTeacher"
    assert entry.parameters == pytest.approx(PUBLISHED[name][0] / 1e3, abs=0.006)
