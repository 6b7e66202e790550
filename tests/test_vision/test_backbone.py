"""What is read from vision towers is their attention, and reading it changes nothing.

All towers are stored with tiny random weights and loaded by the loading code of users.
"""

import sys

import pytest
import torch

from tests.test_ops.test_memory import Allocations
from trace_mm.attention import AttentionTap, AttentionWatch
from trace_mm.attention.chunked import DEFAULT_WORKSPACE
from trace_mm.vision import VisionBackbone, load_vision_backbone

SIZES = [(16, 16), (24, 40)]


def pictures(batch, size):
    return torch.rand(batch, 3, *size, generator=torch.Generator().manual_seed(batch))


def renormalised(weights, patches):
    """Mean over heads (B, n, n) of the rows (B, heads, m, m) of a softmax, among the patches."""
    image = weights[:, :, -patches:, -patches:].float()  # they come last in all these models
    return (image / image.sum(-1, keepdim=True)).mean(1)


def row_major(backbone, attention, grid):
    """A map of the layers' sequence, reordered by the patches that a hook sees (Qwen2.5-VL)."""
    if not backbone.family.one_at_a_time:
        return attention
    order = patches_of_sequence(backbone.tower, grid)
    found = torch.empty_like(attention)
    for i, query in enumerate(order):
        for j, key in enumerate(order):
            found[:, query, key] = attention[:, i, j]
    return found


def patches_of_sequence(tower, grid):
    """Which patch each token of a Qwen2.5-VL block is, from an image whose patches all differ."""
    side = tower.config.patch_size
    values = torch.arange(grid[0] * grid[1], dtype=torch.float32).reshape(grid)
    image = values.repeat_interleave(side, 0).repeat_interleave(side, 1).expand(1, 3, -1, -1)
    seen = []
    handle = tower.blocks[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        VisionBackbone(tower).family.call(tower, image)
        handle.remove()
        kernel = tower.patch_embed.proj.weight.sum(dim=(1, 2, 3, 4))  # of a patch of ones
    return [round(float((token @ kernel) / (kernel @ kernel))) for token in seen[0]]


def explicit_maps(backbone, pixels, monkeypatch):
    """Oracle: the probabilities that the library's own explicit softmax computes, by layer."""
    tower, recorded = backbone.tower, []
    height, width = backbone.grid(*pixels.shape[2:])
    chosen = {layer.module for layer in backbone.layers}
    if hasattr(tower, "config"):  # transformers
        module = sys.modules[type(tower).__module__]
        compute = module.eager_attention_forward

        def record(attention, *args, **kwargs):
            output, weights = compute(attention, *args, **kwargs)
            if attention in chosen:
                recorded.append(renormalised(weights, height * width))
            return output, weights

        monkeypatch.setattr(module, "eager_attention_forward", record)
        monkeypatch.setattr(tower.config, "_attn_implementation", "eager")
    else:  # timm
        for layer in backbone.layers:
            monkeypatch.setattr(layer.module, "fused_attn", False)
            layer.module.attn_drop.register_forward_hook(
                lambda _, args, __: recorded.append(renormalised(args[0], height * width))
            )
    with torch.no_grad():
        backbone.family.call(tower, pixels)
    return recorded


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("batch", [1, 3])
def test_map_is_the_mean_of_the_libraries_explicit_softmax(source, size, batch, monkeypatch):
    backbone, images = load_vision_backbone(**source), pictures(batch, size)
    found, grid = backbone.attention(images), backbone.grid(*size)
    assert found.shape == (batch, grid[0] * grid[1], grid[0] * grid[1])
    pixels = backbone.normalized(images)
    for number, image in enumerate(pixels.split(1)):
        with monkeypatch.context() as patch:
            maps = explicit_maps(load_vision_backbone(**source), image, patch)
        assert len(maps) == len(backbone.layers)
        expected = row_major(backbone, torch.stack(maps).mean(0), grid)
        torch.testing.assert_close(found[number : number + 1], expected, atol=1e-5, rtol=1e-5)
        assert (expected.std(dim=1) > 1e-4).any()  # rows differ: an order would be noticed


def first_queries(backbone, images):
    """Queries (B, heads, n, dim) of the image tokens in the first layer that is read."""
    found = []
    with AttentionWatch(backbone.layers[:1], lambda _, call: found.append(call.query)):
        backbone.family.call(backbone.tower, backbone.normalized(images))
    return found[0][:, :, backbone.layers[0].image_tokens]


def test_tokens_are_the_patches_in_row_major_order(source):
    backbone, images = load_vision_backbone(**source), pictures(1, (16, 24))
    if backbone.family.one_at_a_time:  # in an order of its own, which is undone
        order = torch.tensor(patches_of_sequence(backbone.tower, (4, 6)))
        assert order.tolist() != list(range(24))
        assert order[backbone.family.places(backbone.tower, (4, 6))].tolist() == list(range(24))
        return
    before = first_queries(backbone, images)
    assert before.shape[2] == 4 * 6
    for row, column in [(0, 0), (1, 2), (3, 5)]:
        changed = images.clone()
        changed[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 0
        moved = (first_queries(backbone, changed) - before).abs().sum(dim=(0, 1, 3))
        assert moved.nonzero().flatten().tolist() == [6 * row + column]


@pytest.mark.parametrize("size", SIZES)
def test_map_in_bfloat16_is_a_float32_softmax_of_its_queries_and_keys(source, size):
    backbone = load_vision_backbone(**source, dtype="bfloat16")
    images, grid, maps = pictures(1, size), backbone.grid(*size), []

    def receive(layer, call):
        tokens = layer.image_tokens
        query, key = call.query[:, :, tokens].float(), call.key[:, :, tokens].float()
        maps.append((query @ key.mT * query.shape[-1] ** -0.5).softmax(-1).mean(1))

    with AttentionWatch(backbone.layers, receive), torch.no_grad():
        backbone.family.call(backbone.tower, backbone.normalized(images))
    found, expected = backbone.attention(images), torch.stack(maps).mean(0)
    torch.testing.assert_close(found, row_major(backbone, expected, grid), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("batch", [1, 3])
def test_output_is_bitwise_unchanged_and_rows_sum_to_one(source, dtype, size, batch):
    backbone, images = load_vision_backbone(**source, dtype=dtype), pictures(batch, size)
    split = 1 if backbone.family.one_at_a_time else batch
    for pixels in backbone.normalized(images).split(split):
        with torch.no_grad():
            plain = backbone.family.call(backbone.tower, pixels)
            with AttentionTap(backbone.layers, lambda layer, attention: None):
                tapped = backbone.family.call(backbone.tower, pixels)
        plain, tapped = (getattr(out, "last_hidden_state", out) for out in (plain, tapped))
        assert plain.dtype == getattr(torch, dtype) and torch.equal(plain, tapped)
    found = backbone.attention(images)
    assert found.dtype == torch.float32 and (found >= 0).all()
    torch.testing.assert_close(found.sum(-1), torch.ones(found.shape[:2]))


def test_an_image_alone_has_the_map_it_has_in_a_batch(source):
    backbone, images = load_vision_backbone(**source), pictures(3, (16, 24))
    together = backbone.attention(images)
    for number in range(3):
        alone = backbone.attention(images[number : number + 1])
        torch.testing.assert_close(together[number : number + 1], alone, atol=1e-6, rtol=1e-5)


def test_the_sum_over_layers_needs_one_map(source, monkeypatch):
    monkeypatch.setitem(DEFAULT_WORKSPACE, "cpu", 1 << 19)  # half a map
    backbone, images = load_vision_backbone(**source), pictures(1, (128, 128))
    backbone.attention(images)  # whatever is cached
    with Allocations() as allocations:
        found = backbone.attention(images)
    assert found.numel() == 1024**2
    most = 2 if backbone.family.one_at_a_time else 1  # a second one in row-major order
    large = [size for size in allocations.sizes if size > DEFAULT_WORKSPACE["cpu"]]
    assert large == [1024**2] * most


def test_reading_stops_after_the_last_layer(source):
    name = load_vision_backbone(**source).layers[0].name
    backbone = load_vision_backbone(**source, layers=f"^{name}$".replace(".", r"\."))
    assert [layer.name for layer in backbone.layers] == [name]
    ran = []
    for module in backbone.tower.modules():
        if isinstance(module, type(backbone.layers[0].module)):
            module.register_forward_pre_hook(lambda module, _: ran.append(module))
    backbone.attention(pictures(1, (16, 16)))
    assert ran[-1] is backbone.layers[0].module


def test_colours_are_normalised_as_the_model_says(tower_source):
    backbone = load_vision_backbone(**tower_source("llava"))
    white = backbone.normalized(torch.ones(1, 3, 16, 16))[0, :, 0, 0]
    torch.testing.assert_close(white, torch.tensor([0.5 / 0.3, 0.6 / 0.25, 0.7 / 0.2]))


def test_wrong_shapes_are_refused(tower_source):
    backbone = load_vision_backbone(**tower_source("qwen2.5-vl"))
    with pytest.raises(ValueError, match=r"must be divisible by 8, got \(16, 20\)"):
        backbone.attention(torch.rand(1, 3, 16, 20))
    with pytest.raises(ValueError, match=r"images must be \(B, 3, H, W\)"):
        backbone.attention(torch.rand(3, 16, 16))


def test_a_layer_without_scaled_dot_product_attention_is_named(tower_source, monkeypatch):
    backbone = load_vision_backbone(**tower_source("llava"))
    monkeypatch.setattr(backbone.tower.config, "_attn_implementation", "eager")
    with pytest.raises(ValueError, match=r"encoder\.layers\.0\.self_attn.*attn_implementation"):
        backbone.attention(torch.rand(1, 3, 16, 16))


def test_attention_of_a_part_of_the_image_is_refused(tower_source):
    backbone = load_vision_backbone(**tower_source("qwen2.5-vl"))
    backbone.tower.fullatt_block_indexes = [3]  # the second block sees windows now
    with pytest.raises(ValueError, match=r"layer blocks\.1\.attn .*windowed"):
        backbone.attention(torch.rand(1, 3, 24, 40))
