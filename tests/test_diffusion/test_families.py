import re

import pytest
import torch

from tests.tiny_models import tiny_unet
from trace_mm.attention import AttentionTap, select_layers
from trace_mm.diffusion import attention_layers, family_of


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


def test_lora_targets_are_the_linear_layers_of_the_transformers():
    unet = tiny_unet()
    pattern = re.compile(family_of(unet).lora_targets)
    found = {name for name, _ in unet.named_modules() if pattern.fullmatch(name)}
    inside = {
        name
        for name, module in unet.named_modules()
        if isinstance(module, torch.nn.Linear) and ".transformer_blocks." in name
    }
    assert found == inside and len(found) == 7 * 10
