import gc
import weakref

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor

from tests.tiny_models import tiny_unet
from trace_mm.attention import AttentionLayer, AttentionTap, chunked, self_attention_map, tap
from trace_mm.attention.chunked import attend_and_map
from trace_mm.diffusion import attention_layers


@pytest.fixture
def unet():
    return tiny_unet()


def run(unet, latents):
    return unet(latents, 300, encoder_hidden_states=torch.ones(len(latents), 3, 12)).sample


def read_maps(unet, latents, **options):
    maps = {}
    layers = attention_layers(unet)
    with AttentionTap(layers, lambda layer, found: maps.update({layer.name: found}), **options):
        output = run(unet, latents)
    return maps, output


def explicit_maps(unet, latents, monkeypatch):
    """Oracle: the probabilities that diffusers' explicit-softmax processor computes."""
    unet.set_attn_processor(AttnProcessor())
    recorded = []
    compute = Attention.get_attention_scores

    def record(self, query, key, mask=None):
        scores = compute(self, query, key, mask)
        if scores.shape[1] == scores.shape[2]:  # self-attention: as many keys as queries
            recorded.append(scores.unflatten(0, (len(latents), -1)).mean(1))
        return scores

    monkeypatch.setattr(Attention, "get_attention_scores", record)
    run(unet, latents)
    return recorded


def test_maps_equal_those_of_the_explicit_processor(unet, monkeypatch):
    latents = torch.randn(2, 4, 8, 12)
    with torch.no_grad():
        maps, _ = read_maps(unet, latents)
        expected = explicit_maps(unet, latents, monkeypatch)
    assert (
        len(maps) == len(expected) == 7
    )  # one in each down block, the middle, two in each up block
    for found, wanted in zip(maps.values(), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_output_is_bitwise_unchanged(unet, dtype):
    unet.to(dtype)
    latents = torch.randn(1, 4, 8, 8, dtype=dtype)
    text = torch.ones(1, 3, 12, dtype=dtype)
    with torch.no_grad():
        plain = unet(latents, 10, encoder_hidden_states=text).sample
        with AttentionTap(attention_layers(unet), lambda layer, found: None):
            tapped = unet(latents, 10, encoder_hidden_states=text).sample
    assert torch.equal(plain, tapped)


@pytest.mark.parametrize("workspace", [1, 60, 1 << 20])
def test_one_softmax_serves_the_layer_and_its_map(unet, monkeypatch, workspace):
    monkeypatch.setitem(chunked.DEFAULT_WORKSPACE, "cpu", workspace)
    latents = torch.randn(2, 4, 8, 12)
    with torch.no_grad():
        maps, output = read_maps(unet, latents)
        used = []

        def counted(*given):
            used.append(given)
            return attend_and_map(*given)

        monkeypatch.setattr(tap, "attend_and_map", counted)
        found, own = read_maps(unet, latents, one_softmax=True)
    assert len(used) == len(found) == len(maps)
    torch.testing.assert_close(own, output, atol=1e-5, rtol=1e-5)
    for one, other in zip(found.values(), maps.values(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_and_its_map_equal_a_float64_loop(dtype):
    query, key, value = (torch.randn(2, 3, 5, 4).to(dtype) for _ in range(3))
    attended, attention = attend_and_map(query, key, value, 0.7)
    assert attended.dtype == dtype
    assert attention.dtype == torch.float32
    for image in range(2):
        heads = []
        for head in range(3):
            q, k, v = (part[image, head].double() for part in (query, key, value))
            rows = [torch.stack([0.7 * (a * b).sum() for b in k]).softmax(0) for a in q]
            heads.append(torch.stack(rows))
            expected = torch.stack(
                [sum(w * b for w, b in zip(row, v, strict=True)) for row in rows]
            )
            torch.testing.assert_close(attended[image, head], expected.to(dtype))
        mean = torch.stack(heads).mean(0).float()
        torch.testing.assert_close(attention[image], mean, atol=1e-6, rtol=1e-5)


def test_gradients_need_the_models_own_call(unet):
    """With gradients a layer computes what it always does, and maps have gradients."""
    latents = torch.randn(1, 4, 8, 8)
    maps, output = read_maps(unet, latents, one_softmax=True)
    assert torch.equal(output, run(unet, latents))
    assert all(found.requires_grad for found in maps.values())


def test_chunks_do_not_change_the_map():
    query, key = torch.randn(2, 2, 3, 10, 4)
    whole = self_attention_map(query, key)
    for workspace in (1, 100, 10_000):
        torch.testing.assert_close(self_attention_map(query, key, workspace=workspace), whole)


def test_map_equals_a_float64_loop():
    query, key = torch.randn(2, 1, 2, 5, 3)
    found = self_attention_map(query, key, scale=0.5)
    for row in range(5):
        expected = torch.zeros(5, dtype=torch.float64)
        for head in range(2):
            logits = torch.tensor(
                [float(query[0, head, row].double() @ key[0, head, j].double()) for j in range(5)],
                dtype=torch.float64,
            )
            weights = torch.exp(0.5 * logits)
            expected += weights / weights.sum() / 2
        torch.testing.assert_close(found[0, row].double(), expected, atol=1e-6, rtol=1e-5)


def test_autocast_does_not_lower_the_precision():
    query, key = torch.randn(2, 1, 2, 16, 8) * 3
    with torch.autocast("cpu", torch.bfloat16):
        found = self_attention_map(query, key)
    assert torch.equal(found, self_attention_map(query, key))


def test_gradients_reach_query_and_key():
    query = torch.randn(1, 1, 4, 2, requires_grad=True)
    key = torch.randn(1, 1, 4, 2, requires_grad=True)
    whole = torch.autograd.grad(self_attention_map(query, key)[0, 1, 2], (query, key))
    chunked = torch.autograd.grad(
        self_attention_map(query, key, workspace=4)[0, 1, 2], (query, key)
    )
    assert all(gradient.abs().sum() > 0 for gradient in whole)
    torch.testing.assert_close(whole, chunked)


def test_gradients_reach_the_weights(unet):
    maps, _ = read_maps(unet, torch.randn(1, 4, 8, 8))
    torch.stack([found[0, 0, 0] for found in maps.values()]).sum().backward()
    last_query = attention_layers(unet)[-1].module.to_q.weight
    assert last_query.grad is not None and last_query.grad.abs().sum() > 0


def test_nothing_stays_behind_after_an_error(unet):
    def fail(layer, found):
        raise RuntimeError("receiver failed")

    tap = AttentionTap(attention_layers(unet), fail)
    with pytest.raises(RuntimeError, match="receiver failed"), tap:
        run(unet, torch.randn(1, 4, 8, 8))
    assert not any(layer.module._forward_hooks for layer in attention_layers(unet))
    run(unet, torch.randn(1, 4, 8, 8))


def test_a_tap_is_gone_with_its_last_reference(unet):
    """What it received would else wait for the garbage collector, a layer's graph each."""
    gc.disable()
    try:
        tap = AttentionTap(attention_layers(unet), lambda *_: None)
        with tap:
            run(unet, torch.randn(1, 4, 8, 8))
        left = weakref.ref(tap)
        del tap
        assert left() is None
    finally:
        gc.enable()


def test_image_tokens_are_cut_out_and_renormalised():
    class Joint(torch.nn.Module):
        def forward(self, tokens):
            return torch.nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)

    joint, tokens, found = Joint(), torch.randn(1, 2, 6, 4), []
    layer = AttentionLayer("joint", joint, stride=1, image_tokens=slice(2, None))
    with AttentionTap([layer], lambda _, attention: found.append(attention)):
        joint(tokens)
    full = (tokens @ tokens.mT * 0.5).softmax(-1)[:, :, 2:, 2:]
    expected = (full / full.sum(-1, keepdim=True)).mean(1)
    torch.testing.assert_close(found[0], expected)


def test_masked_attention_is_refused():
    class Masked(torch.nn.Module):
        def forward(self, tokens):
            return torch.nn.functional.scaled_dot_product_attention(
                tokens, tokens, tokens, is_causal=True
            )

    masked = Masked()
    tap = AttentionTap([AttentionLayer("masked", masked, 1)], lambda *_: None)
    with pytest.raises(ValueError, match="layer masked"), tap:
        masked(torch.randn(1, 1, 4, 2))


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="query and key"):
        self_attention_map(torch.zeros(1, 4, 2), torch.zeros(1, 4, 2))
    with pytest.raises(ValueError, match="no attention layer"):
        AttentionTap([], lambda *_: None)
