import re

import pytest
import torch

from tests.tiny_models import tiny_unet
from tests.tiny_transformers import tiny_flux, tiny_pixart, tiny_sd3
from trace_mm.attention import AttentionTap, select_layers
from trace_mm.diffusion import FAMILIES, attention_layers, family_of, register_family
from trace_mm.diffusion.families import UNetFamily


def test_layers_come_in_forward_order_with_their_stride():
    unet = tiny_unet()
    layers = attention_layers(unet)
    seen = []
    with torch.no_grad(), AttentionTap(layers, lambda layer, found: seen.append((layer, found))):
        unet(torch.randn(1, 4, 8, 12), 0, encoder_hidden_states=torch.ones(1, 1, 12))
    assert [layer.name for layer, _ in seen] == [layer.name for layer in layers]
    for layer, found in seen:
        assert found.shape[1] == (8 // layer.stride) * (12 // layer.stride)


def test_blocks_without_attention_are_counted_in_the_stride():
    unet = tiny_unet(
        block_out_channels=(8, 16, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    )
    strides = {layer.name.split(".attentions")[0]: layer.stride for layer in attention_layers(unet)}
    assert strides == {"down_blocks.1": 2, "mid_block": 4, "up_blocks.1": 2}


def test_select_layers_by_name():
    layers = attention_layers(tiny_unet())
    assert {layer.stride for layer in select_layers(layers, "mid_block")} == {2}
    with pytest.raises(ValueError, match="no self-attention layer matches 'no_blocks'"):
        select_layers(layers, "no_blocks")


def test_unknown_denoisers_are_refused():
    with pytest.raises(ValueError, match="class Linear are not supported"):
        attention_layers(torch.nn.Linear(1, 1))


@pytest.mark.parametrize(
    ("denoiser", "block", "count"),
    [
        (tiny_unet(), r".*\.transformer_blocks\.\d+", 7 * 10),
        (tiny_pixart(), r"transformer_blocks\.\d+", 3 * 10),
        # The text's ways out of the last block are not there.
        (tiny_sd3(), r"transformer_blocks\.\d+", 3 * 12 - 3),
        (tiny_sd3(dual_attention_layers=(0, 1)), r"transformer_blocks\.\d+", 3 * 12 - 3 + 2 * 4),
        (tiny_flux(), r"(single_)?transformer_blocks\.\d+", 2 * 12 + 2 * 5),
    ],
    ids=["unet", "pixart", "sd3", "sd35", "flux"],
)
def test_lora_targets_are_the_linear_layers_of_attention_and_feed_forward(denoiser, block, count):
    """All linear layers of the blocks but those that make scale and shift of the timestep."""
    pattern = re.compile(family_of(denoiser).lora_targets)
    found = {name for name, _ in denoiser.named_modules() if pattern.fullmatch(name)}
    inside = {
        name
        for name, module in denoiser.named_modules()
        if isinstance(module, torch.nn.Linear)
        and re.match(block + r"\.", name)
        and ".norm" not in name
    }
    assert found == inside and len(found) == count


@pytest.mark.parametrize(
    ("denoiser", "expected"),
    [
        (
            tiny_sd3(dual_attention_layers=(0,)),
            [
                ("transformer_blocks.0.attn", slice(0, -7)),
                ("transformer_blocks.0.attn2", slice(None)),
                ("transformer_blocks.1.attn", slice(0, -7)),
                ("transformer_blocks.2.attn", slice(0, -7)),
            ],
        ),
        (
            tiny_flux(),
            [
                ("transformer_blocks.0.attn", slice(7, None)),
                ("transformer_blocks.1.attn", slice(7, None)),
                ("single_transformer_blocks.0.attn", slice(7, None)),
                ("single_transformer_blocks.1.attn", slice(7, None)),
            ],
        ),
        (
            tiny_pixart(),
            [(f"transformer_blocks.{index}.attn1", slice(None)) for index in range(3)],
        ),
    ],
    ids=["sd35", "flux", "pixart"],
)
def test_layers_of_transformers(denoiser, expected):
    layers = attention_layers(denoiser, text_tokens=7)
    assert [(layer.name, layer.image_tokens) for layer in layers] == expected
    assert {layer.stride for layer in layers} == {2}


def test_sizes_that_the_denoisers_were_trained_on():
    families = [family_of(model) for model in (tiny_pixart(), tiny_sd3(), tiny_flux())]
    models = [tiny_pixart(sample_size=64), tiny_sd3(sample_size=128), tiny_flux()]
    sides = [
        family.native_latents(one.config) for family, one in zip(families, models, strict=True)
    ]
    assert sides == [64, 128, 128]
    assert [f.latent_multiple(one) for f, one in zip(families, models, strict=True)] == [2, 2, 2]


def test_a_new_family_is_one_class():
    class Plain(torch.nn.Module):
        pass

    with pytest.raises(ValueError, match="class Plain are not supported"):
        family_of(Plain())

    class PlainFamily(UNetFamily):
        denoiser = "Plain"

    register_family(PlainFamily)
    try:
        assert isinstance(family_of(Plain()), PlainFamily)
    finally:
        del FAMILIES["Plain"]
