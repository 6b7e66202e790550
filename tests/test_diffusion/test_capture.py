"""Captured self-attention of every family: what it is, and that reading it changes nothing."""

from math import prod

import pytest
import torch

from tests.conftest import SAVED_BY
from tests.explicit_attention import explicit_attention, explicit_map
from tools.benchmark.measure import peak_memory
from trace_mm.attention import AttentionTap, AttentionWatch
from trace_mm.attention.chunked import DEFAULT_WORKSPACE
from trace_mm.diffusion import DiffusionBackbone, load_backbone
from trace_mm.models.lora import add_lora, lora_layers

FAMILIES = tuple(SAVED_BY)
TEXT_TOKENS = 5
JOINT = ("sd3", "sd35", "flux-dev", "flux-schnell")  # text attends together with the image
TIMESTEP = 300

all_families = pytest.mark.parametrize("name", FAMILIES)
square_or_not = pytest.mark.parametrize("size", [(16, 16), (16, 24)], ids=["square", "wide"])
one_or_three = pytest.mark.parametrize("batch", [1, 3])
both_precisions = pytest.mark.parametrize("dtype", ["float32", "bfloat16"])


@pytest.fixture(scope="module")
def backbone_of(model_folder):
    """Gives a backbone by family and precision; each is loaded once. Not to be changed."""
    loaded = {}

    def load(name, dtype="float32"):
        if (name, dtype) not in loaded:
            loaded[name, dtype] = load_backbone(model_folder(name, TEXT_TOKENS), dtype=dtype)
        return loaded[name, dtype]

    return load


def noised(backbone, batch, size):
    """X_t of random images of a size."""
    generator = torch.Generator().manual_seed(0)
    latents = backbone.encode(torch.rand(batch, 3, *size, generator=generator))
    noise = torch.randn(latents.shape, generator=generator)
    return backbone.add_noise(latents, noise, TIMESTEP)


def read_maps(backbone, noisy):
    """Each layer's map, by name."""
    maps = {}
    with AttentionTap(backbone.layers, lambda layer, found: maps.update({layer.name: found})):
        backbone.denoise(noisy, TIMESTEP)
    return maps


@all_families
@square_or_not
@one_or_three
@both_precisions
@torch.no_grad()
def test_the_output_is_bitwise_unchanged(backbone_of, name, size, batch, dtype):
    backbone = backbone_of(name, dtype)
    noisy = noised(backbone, batch, size)
    plain = backbone.denoise(noisy, TIMESTEP)
    output, _ = backbone.denoise_and_attend(noisy, TIMESTEP)
    assert plain.dtype == getattr(torch, dtype) and plain.shape == noisy.shape
    assert plain.isfinite().all() and torch.equal(output, plain)


@all_families
@square_or_not
@one_or_three
@torch.no_grad()
def test_maps_are_those_of_an_explicit_softmax(backbone_of, name, size, batch):
    backbone = backbone_of(name)
    noisy = noised(backbone, batch, size)
    found = read_maps(backbone, noisy)
    with explicit_attention(backbone) as expected:
        backbone.denoise(noisy, TIMESTEP)
    assert list(found) == list(expected) == [layer.name for layer in backbone.layers]
    for layer, attention in expected.items():
        torch.testing.assert_close(found[layer], attention, atol=1e-5, rtol=0, msg=layer)
        uniform = torch.full_like(attention, 1 / attention.shape[1])
        assert (attention - uniform).abs().max() > 1e-4  # else equal maps would say nothing


def explicit_maps_of_each_layer(backbone, noisy):
    """Of what each layer is given in a plain pass: rounding must not add up from layer to layer."""
    given = {}

    def keep(module, positional, named):
        given[module] = positional, named

    hooks = [
        layer.module.register_forward_pre_hook(keep, with_kwargs=True) for layer in backbone.layers
    ]
    backbone.denoise(noisy, TIMESTEP)
    for hook in hooks:
        hook.remove()
    with explicit_attention(backbone) as maps:
        for module, (positional, named) in given.items():
            module(*positional, **named)
    return maps


@all_families
@square_or_not
@one_or_three
@torch.no_grad()
def test_maps_of_bfloat16_are_those_of_a_softmax_in_float32(backbone_of, name, size, batch):
    backbone = backbone_of(name, "bfloat16")
    noisy = noised(backbone, batch, size)
    found, expected = read_maps(backbone, noisy), explicit_maps_of_each_layer(backbone, noisy)
    assert list(found) == list(expected) == [layer.name for layer in backbone.layers]
    for layer, attention in expected.items():
        assert attention.dtype == torch.float32
        torch.testing.assert_close(found[layer], attention, atol=1e-5, rtol=0, msg=layer)
        assert (attention - 1 / attention.shape[1]).abs().max() > 1e-4


@all_families
@square_or_not
@one_or_three
@both_precisions
@torch.no_grad()
def test_rows_sum_to_one_over_the_grid_of_the_latents(backbone_of, name, size, batch, dtype):
    backbone = backbone_of(name, dtype)
    noisy = noised(backbone, batch, size)
    for layer, attention in zip(backbone.layers, read_maps(backbone, noisy).values(), strict=True):
        tokens = prod(side // 2 // layer.stride for side in size)
        assert attention.shape == (batch, tokens, tokens) and attention.dtype == torch.float32
        torch.testing.assert_close(attention.sum(-1), torch.ones(batch, tokens))
    fused = backbone.attention(noisy, TIMESTEP)
    tokens = prod(backbone.grid(noisy))
    assert fused.shape == (batch, tokens, tokens) and fused.dtype == torch.float32
    torch.testing.assert_close(fused.sum(-1), torch.ones(batch, tokens))


def with_text(backbone, prompt):
    """The same model under another prompt (1, tokens, width)."""
    text = {**backbone.null_text, "prompt_embeds": prompt}
    return DiffusionBackbone(backbone.denoiser, backbone.scheduler, backbone.vae, text)


def keys_of(backbone, noisy):
    """Keys of the image and of the text (B, heads, tokens, dim) of each layer, by its name."""
    found = {}

    def receive(layer, call):
        tokens = torch.arange(call.key.shape[2])
        image = torch.isin(tokens, tokens[layer.image_tokens])
        found[layer.name] = call.key[:, :, image], call.key[:, :, ~image]

    with AttentionWatch(backbone.layers, receive):
        backbone.denoise(noisy, TIMESTEP)
    return found


@all_families
@square_or_not
@one_or_three
@both_precisions
@torch.no_grad()
def test_the_order_of_text_tokens_does_not_matter(backbone_of, name, size, batch, dtype):
    """Image tokens stay what they are, and the others are the text in its other order."""
    backbone = backbone_of(name, dtype)
    noisy = noised(backbone, batch, size)
    close = {"atol": 1e-5, "rtol": 1e-4} if dtype == "float32" else {"atol": 0.02, "rtol": 0.02}
    order = torch.tensor([3, 0, 4, 2, 1])
    other = with_text(backbone, backbone.null_text["prompt_embeds"][:, order])
    before, after = keys_of(backbone, noisy), keys_of(other, noisy)
    for layer, (image, text) in before.items():
        torch.testing.assert_close(after[layer][0], image, **close)
        # Text stands apart from the image, or else in the joint layers only.
        joint = name in JOINT and not layer.endswith("attn2")
        assert text.shape[2] == (TEXT_TOKENS if joint else 0)
        torch.testing.assert_close(after[layer][1], text[:, :, order[: text.shape[2]]], **close)
    found, expected = other.attention(noisy, TIMESTEP), backbone.attention(noisy, TIMESTEP)
    torch.testing.assert_close(found, expected, atol=close["atol"] / 10, rtol=0)


@pytest.mark.parametrize("tokens", [1, 8])
@pytest.mark.parametrize("name", JOINT)
@torch.no_grad()
def test_longer_and_shorter_text_moves_the_range(backbone_of, name, tokens):
    text = torch.randn(1, tokens, backbone_of(name).null_text["prompt_embeds"].shape[2])
    backbone = with_text(backbone_of(name), text)
    noisy = noised(backbone, 1, (16, 24))
    found, expected = backbone.attention(noisy, TIMESTEP), explicit_map(backbone, noisy, TIMESTEP)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def with_lora(folder, dtype="float32"):
    """A backbone with random LoRA matrices of rank 2."""
    backbone = load_backbone(folder, dtype=dtype)
    add_lora(backbone.denoiser, rank=2)
    torch.manual_seed(0)
    for layer in lora_layers(backbone.denoiser).values():
        torch.nn.init.normal_(layer.lora_B["default"].weight, std=0.3)  # it starts at 0
    return backbone


@pytest.fixture(scope="module")
def lora_of(model_folder):
    """Gives a backbone with LoRA by family and precision; each is made once. Not to be changed."""
    made = {}

    def make(name, dtype):
        if (name, dtype) not in made:
            made[name, dtype] = with_lora(model_folder(name, TEXT_TOKENS), dtype)
        return made[name, dtype]

    return make


def lora_gradients(backbone, attention):
    """Of a function of a map, by the names of LoRA's matrices; zeros where it does not depend."""
    weights = torch.linspace(-1, 1, attention.numel()).sin().view_as(attention)
    parameters = {n: p for n, p in backbone.denoiser.named_parameters() if p.requires_grad}
    loss = (attention * weights).sum()
    # Some come after the last map, and have none.
    found = torch.autograd.grad(
        loss, list(parameters.values()), allow_unused=True, materialize_grads=True
    )
    return dict(zip(parameters, found, strict=True))


def check_gradients(backbone, found, expected):
    """Each matrix's is as expected, and those of each layer's queries and keys are not zero."""
    for parameter, gradient in expected.items():
        torch.testing.assert_close(found[parameter], gradient, atol=1e-5, rtol=1e-3, msg=parameter)
    for layer in backbone.layers:
        for part in ("to_q", "to_k"):
            gradient = expected[f"{layer.name}.{part}.lora_A.default.weight"]
            assert gradient.abs().max() > 1e-4, (layer.name, part)


@all_families
@square_or_not
@one_or_three
@both_precisions
def test_gradients_are_those_of_the_explicit_route(lora_of, name, size, batch, dtype):
    backbone = lora_of(name, dtype)
    noisy = noised(backbone, batch, size)
    expected = lora_gradients(backbone, explicit_map(backbone, noisy, TIMESTEP))
    _, attention = backbone.denoise_and_attend(noisy, TIMESTEP)
    found = lora_gradients(backbone, attention)
    if dtype == "float32":
        check_gradients(backbone, found, expected)
    else:  # the two routes round values differently
        gradient = torch.cat([part.flatten() for part in expected.values()])
        difference = torch.cat([part.flatten() for part in found.values()]) - gradient
        assert difference.norm() < 0.05 * gradient.norm()


@all_families
def test_recomputed_gradients_are_the_same(model_folder, name):
    backbone = with_lora(model_folder(name, TEXT_TOKENS))
    noisy = noised(backbone, 3, (16, 24))
    expected = lora_gradients(backbone, explicit_map(backbone, noisy, TIMESTEP))
    backbone.enable_gradient_checkpointing()
    _, attention = backbone.denoise_and_attend(noisy, TIMESTEP)
    check_gradients(backbone, lora_gradients(backbone, attention), expected)


@all_families
@both_precisions
@torch.no_grad()
def test_memory_is_two_maps_and_the_workspace(backbone_of, name, dtype):
    """On top of the pass itself; maps of 32 x 32 tokens dwarf all else in these models."""
    backbone = backbone_of(name, dtype)
    side = 32 * min(layer.stride for layer in backbone.layers)
    noisy = torch.randn(1, backbone.vae.config.latent_channels, side, side)
    calls = []
    with AttentionWatch(backbone.layers, lambda layer, call: calls.append(call.query.numel())):
        plain = peak_memory(lambda: backbone.denoise(noisy, TIMESTEP), noisy.device)
    peak = peak_memory(lambda: backbone.denoise_and_attend(noisy, TIMESTEP), noisy.device)
    one_map = 4 * (32 * 32) ** 2
    query_and_key = 2 * 4 * max(calls)  # copies in float32
    extra = peak - plain
    assert 0.5 * one_map < extra <= 2 * one_map + 4 * DEFAULT_WORKSPACE["cpu"] + query_and_key
