import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiny_models import tiny_unet
from trace_mm.attention import AttentionLayer, PooledKeys
from trace_mm.attention.pooled_keys import attend_to_cells
from trace_mm.diffusion import attention_layers


def naive(query, key, value, grid, cell, scale):
    """Oracle: each token's key and value are the means of its cell; then plain attention."""
    height, width = grid
    keys, values = torch.zeros_like(key), torch.zeros_like(value)
    for row in range(height):
        for column in range(width):
            members = [
                r * width + c
                for r in range(height)
                for c in range(width)
                if r // cell == row // cell and c // cell == column // cell
            ]
            keys[:, :, row * width + column] = key[:, :, members].mean(2)
            values[:, :, row * width + column] = value[:, :, members].mean(2)
    return (query @ keys.mT * scale).softmax(-1) @ values


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 7), st.integers(1, 4), st.integers(0, 99))
def test_tokens_have_the_mean_key_and_value_of_their_cell(height, width, cell, seed):
    generator = torch.Generator().manual_seed(seed)
    shape = 3, 2, 2, height * width, 5
    query, key, value = torch.randn(shape, generator=generator, dtype=torch.float64)
    found = attend_to_cells(query, key, value, (height, width), cell, scale=0.7)
    expected = naive(query, key, value, (height, width), cell, 0.7)
    torch.testing.assert_close(found, expected)


def test_one_token_a_cell_is_plain_attention():
    query, key, value = torch.randn(3, 1, 2, 12, 8)
    found = attend_to_cells(query, key, value, (3, 4), 1)
    plain = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(found, plain)


def test_keys_must_be_those_of_the_grid():
    tensor = torch.zeros(1, 1, 12, 4)
    with pytest.raises(ValueError, match=r"a key a token of grid \(3, 5\), got 12"):
        attend_to_cells(tensor, tensor, tensor, (3, 5), 2)


def test_only_the_chosen_layers_are_pooled():
    unet, latents = tiny_unet(), torch.randn(2, 4, 8, 12)

    def run():
        with torch.no_grad():
            return unet(latents, 300, encoder_hidden_states=torch.ones(2, 3, 12)).sample

    first, *_ = layers = attention_layers(unet)
    plain = run()
    with PooledKeys(layers, (8, 12), cell=1):
        torch.testing.assert_close(run(), plain, atol=1e-5, rtol=1e-5)
    with PooledKeys([first], (8, 12), cell=2):
        one = run()
    with PooledKeys(layers, (8, 12), cell=2):
        all_of_them = run()
    assert not torch.allclose(one, plain, atol=1e-5)
    assert not torch.allclose(one, all_of_them, atol=1e-5)
    torch.testing.assert_close(run(), plain, atol=0, rtol=0)


def test_a_masked_layer_is_refused():
    class Masked(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)

    layer = AttentionLayer("block.attn", Masked(), stride=1)
    with (
        PooledKeys([layer], (2, 3), 2),
        pytest.raises(ValueError, match=r"block\.attn masks its attention"),
    ):
        layer.module(torch.zeros(1, 1, 6, 4))
