"""Edge decoders: shapes on many grids, gradients, what they can learn, and their sizes."""

import pytest
import torch

from trace_mm.models.decoders import (
    ConvDecoder,
    GridFreeDecoder,
    Mask2FormerStyleDecoder,
    UNetDecoder,
)
from trace_mm.models.decoders.features import GridFreeFeatures
from trace_mm.ops import masked_dice_loss, neighbor_divergence, region_attention
from trace_mm.registry import MODELS

GRIDS = [(8, 8), (5, 9), (9, 4), (1, 7), (1, 1), (3, 2)]
ALL = ["ConvDecoder", "GridFreeDecoder", "UNetDecoder", "Mask2FormerStyleDecoder"]
GRID_FREE = ALL[1:]

SMALL = {
    "GridFreeDecoder": {"width": 16},
    "UNetDecoder": {"width": 8, "levels": 3},
    "Mask2FormerStyleDecoder": {"width": 32, "layers": 3, "depth": 1, "heads": 4},
}


def build(name, grid=(8, 8), **options):
    torch.manual_seed(0)
    if name == "ConvDecoder":
        options = {"tokens": grid[0] * grid[1], "grid": grid}
    return MODELS.build({"type": name, **SMALL.get(name, {}), **options})


def random_input(grid, batch=1, channels=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tokens = grid[0] * grid[1]
    logits = 3 * torch.randn(batch, tokens, tokens, generator=generator)
    return torch.softmax(logits, -1), torch.randn(batch, channels, *grid, generator=generator)


def two_segments(grid, upsampling=1):
    """Attention within two halves of a grid, and the border between them as target."""
    height, width = grid
    split = width // 2
    left = (torch.arange(width) < split).float().expand(height, -1).flatten()  # (N,)
    same = left[:, None] * left + (1 - left[:, None]) * (1 - left)  # (N, N)
    attention = same + 0.01
    columns = torch.arange(width * upsampling)
    border = (columns >= (split - 1) * upsampling) & (columns < (split + 1) * upsampling)
    target = border.float().expand(1, 1, height * upsampling, -1)
    return (attention / attention.sum(-1, keepdim=True))[None], target


def count(decoder):
    return sum(parameter.numel() for parameter in decoder.parameters())


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", ALL)
def test_shape_on_any_grid(name, grid):
    decoder = build(name, grid)
    attention, latents = random_input(grid, batch=2)
    logits = decoder(attention, grid, latents)
    assert logits.shape == (2, 1, *grid)
    assert decoder.upsampling == 1
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("grid", [(8, 8), (5, 9), (1, 1)])
@pytest.mark.parametrize("name", GRID_FREE)
def test_upsampling_with_latents(name, grid):
    decoder = build(name, upsampling=4, latent_channels=3)
    attention, latents = random_input(grid, batch=2)
    logits = decoder(attention, grid, latents)
    assert logits.shape == (2, 1, 4 * grid[0], 4 * grid[1])
    assert decoder.upsampling == 4


@pytest.mark.parametrize("name", ALL)
def test_images_of_a_batch_do_not_mix(name):
    decoder = build(name)
    attention, latents = random_input((8, 8), batch=3)
    together = decoder(attention, (8, 8), latents)
    for i in range(3):
        alone = decoder(attention[i : i + 1], (8, 8), latents[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_gradients_reach_inputs_and_parameters(name):
    uses_latents = name != "ConvDecoder"
    decoder = build(name, **({"latent_channels": 3, "upsampling": 2} if uses_latents else {}))
    attention, latents = (tensor.requires_grad_() for tensor in random_input((8, 8)))
    decoder(attention, (8, 8), latents).square().sum().backward()
    for tensor in (attention, *([latents] if uses_latents else [])):
        assert tensor.grad is not None
        assert torch.isfinite(tensor.grad).all()
        assert (tensor.grad != 0).float().mean() > 0.5
    for parameter_name, parameter in decoder.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
    still = [n for n, p in decoder.named_parameters() if not p.grad.any()]
    # A key bias shifts all logits of a softmax alike.
    assert all("in_proj" in n for n in still), still


@pytest.mark.parametrize("name", ALL)
def test_gradients_are_finite_where_attention_is_equal_or_zero(name):
    decoder = build(name)
    for attention in (torch.full((1, 64, 64), 1 / 64), torch.eye(64)[None]):
        attention.requires_grad_()
        decoder(attention, (8, 8), torch.zeros(1, 3, 8, 8)).sum().backward()
        assert torch.isfinite(attention.grad).all()
        assert all(torch.isfinite(p.grad).all() for p in decoder.parameters())


@pytest.mark.parametrize(
    ("name", "upsampling"),
    [*((name, 1) for name in ALL), *((name, 2) for name in GRID_FREE)],
)
def test_learns_the_border_of_two_segments(name, upsampling):
    grid = (8, 10)
    attention, target = two_segments(grid, upsampling)
    decoder = build(name, grid, **({} if upsampling == 1 else {"upsampling": upsampling}))
    optimizer = torch.optim.Adam(decoder.parameters(), lr=3e-3)
    for _ in range(80):
        loss = masked_dice_loss(decoder(attention, grid, None).sigmoid(), target).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2


@pytest.mark.parametrize("name", GRID_FREE)
def test_what_was_learnt_holds_on_another_grid(name):
    decoder = build(name)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=3e-3)
    pairs = [((6, 8), two_segments((6, 8))), ((8, 12), two_segments((8, 12)))]
    for _ in range(30):
        for grid, (attention, target) in pairs:
            loss = masked_dice_loss(decoder(attention, grid, None).sigmoid(), target).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    attention, target = two_segments((7, 10))
    with torch.no_grad():
        edges = decoder(attention, (7, 10), None).sigmoid()
    assert masked_dice_loss(edges, target).item() < 0.4


@pytest.mark.parametrize("name", ALL)
def test_is_deterministic(name):
    results = []
    for _ in range(2):
        decoder = build(name)
        attention, latents = random_input((8, 8))
        logits = decoder(attention, (8, 8), latents)
        logits.sum().backward()
        results.append([logits, *(parameter.grad for parameter in decoder.parameters())])
    assert all(torch.equal(first, second) for first, second in zip(*results, strict=True))


@pytest.mark.parametrize("name", ALL)
def test_runs_in_bfloat16_autocast(name):
    decoder = build(name)
    attention, latents = random_input((8, 8))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = decoder(attention, (8, 8), latents)
    plain = decoder(attention, (8, 8), latents)
    torch.testing.assert_close(logits.float(), plain, atol=0.1, rtol=0.1)


def test_conv_is_one_convolution_over_the_keys():
    grid = (3, 4)
    decoder = build("ConvDecoder", grid)
    attention, _ = random_input(grid)
    weight, bias = decoder.convolution.weight[0].double(), decoder.convolution.bias.double()
    logits = decoder(attention, grid)
    for i in range(3):
        for j in range(4):
            total = bias.clone()
            for y in range(max(i - 1, 0), min(i + 2, 3)):
                for x in range(max(j - 1, 0), min(j + 2, 4)):
                    row = attention[0, y * 4 + x].double() * 12
                    total = total + (weight[:, y - i + 1, x - j + 1] * row).sum()
            torch.testing.assert_close(logits[0, 0, i, j].double(), total[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConvDecoder(64)(torch.rand(1, 48, 48), (6, 8)), r"8 x 8 tokens, got 6 x 8"),
        (lambda: ConvDecoder(64)(torch.rand(1, 64, 64), (4, 16)), r"8 x 8 tokens, got 4 x 16"),
        (lambda: ConvDecoder(64)(torch.rand(1, 48, 48), (8, 8)), r"got \(1, 48, 48\)"),
        (lambda: ConvDecoder(48), "48 tokens are no square grid"),
        (lambda: ConvDecoder(48, grid=(5, 8)), "5 x 8 does not have 48 tokens"),
        (lambda: ConvDecoder(0), "0 tokens"),
        (lambda: GridFreeDecoder()(torch.rand(1, 48, 48), (8, 8)), r"got \(1, 48, 48\)"),
        (
            lambda: GridFreeDecoder(latent_channels=4)(torch.rand(1, 4, 4), (2, 2)),
            r"latents must be \(1, 4, h', w'\), got None",
        ),
        (
            lambda: GridFreeDecoder(latent_channels=4)(
                torch.rand(1, 4, 4), (2, 2), torch.rand(1, 3, 2, 2)
            ),
            r"got \(1, 3, 2, 2\)",
        ),
        (lambda: GridFreeDecoder(upsampling=0), "upsampling must be at least 1"),
        (lambda: GridFreeDecoder(cells=(0, 3)), "positive and increasing"),
        (lambda: GridFreeDecoder(cells=(4, 2)), "increasing"),
        (lambda: GridFreeDecoder(cells=(), steps=0), "there must be a cell"),
        (lambda: GridFreeDecoder(steps=-1), "at least 0"),
        (lambda: UNetDecoder(levels=0), "levels must be"),
        (lambda: Mask2FormerStyleDecoder(layers=0), "layers and queries"),
        (lambda: Mask2FormerStyleDecoder(width=30), "divisible by 4"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_features_are_what_they_say():
    grid = (4, 6)
    attention, latents = random_input(grid, batch=2)
    features = GridFreeFeatures(latent_channels=3, cells=(1, 2), steps=2, neighbors=[(0, 1)])
    found = features(attention, grid, latents)
    assert found.shape == (2, features.channels, *grid) == (2, 2 + 2 * 7 + 3, *grid)
    for channel, cell in enumerate((1, 2)):
        regions = region_attention(attention, grid, cell)
        expected = neighbor_divergence(regions, grid, [(0, 1)])[:, 0]
        torch.testing.assert_close((2.5 * found[:, channel] - 5).exp() - 1e-4, expected)
    rows = torch.arange(4.0).repeat_interleave(6)  # (N,)
    for step, walked in enumerate((attention, attention @ attention)):
        part = found[:, 2 + 7 * step : 9 + 7 * step].flatten(2)  # (B, 7, N)
        way = walked @ rows - rows
        torch.testing.assert_close(part[:, 0], way.sign() * way.abs().log1p())
        spread = walked @ rows.square() - (walked @ rows).square()
        torch.testing.assert_close(part[:, 2], spread.log1p() / 2 - 1, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(part[:, 4:], latents.flatten(2) @ walked.mT)
    assert torch.equal(found[:, -3:], latents)


@pytest.mark.parametrize(
    ("grid", "cells"), [((4, 8), (1, 2, 4)), ((4, 8), (2, 3)), ((6, 4), (1, 3)), ((5, 7), (2, 4))]
)
def test_regions_do_not_depend_on_other_sizes(grid, cells):
    """Whether regions are summed from smaller ones or anew."""
    attention, _ = random_input(grid, batch=2)
    together = GridFreeFeatures(cells=cells, steps=0)(attention, grid, None)
    alone = [GridFreeFeatures(cells=[cell], steps=0)(attention, grid, None) for cell in cells]
    torch.testing.assert_close(together, torch.cat(alone, dim=1))


def test_an_odd_grid_keeps_all_attention():
    """Regions at the end of an odd grid are smaller, but none is lost."""
    attention, _ = random_input((5, 7))
    features = GridFreeFeatures(cells=(1, 4), steps=0, neighbors=[(0, 1)])
    assert features(attention, (5, 7), None).shape == (1, 2, 5, 7)
    # Equal rows differ nowhere, whatever the regions: every channel is at its floor.
    flat = features(torch.full((1, 35, 35), 1 / 35), (5, 7), None)
    torch.testing.assert_close(flat, torch.full_like(flat, (torch.tensor(1e-4).log() + 5) / 2.5))


def test_finer_latents_are_averaged():
    attention, latents = random_input((4, 6))
    features = GridFreeFeatures(latent_channels=3)
    finer = latents.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(
        features(attention, (4, 6), finer), features(attention, (4, 6), latents)
    )


def test_sizes_of_table_9():
    """Bytes of float32 weights, in MiB, as in the documentation of each decoder."""

    def size(decoder):
        return 4 * count(decoder) / 2**20

    assert size(ConvDecoder(4096)) == pytest.approx(0.14, abs=0.01)
    assert size(UNetDecoder(width=34, levels=5)) == pytest.approx(34, abs=1)
    with torch.device("meta"):
        large = Mask2FormerStyleDecoder(width=512, layers=15, depth=4)
    assert size(large) == pytest.approx(258, abs=2)
    assert 0.2e6 < count(GridFreeDecoder(latent_channels=8, upsampling=4)) < 0.6e6
