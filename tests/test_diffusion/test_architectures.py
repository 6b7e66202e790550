"""The published models at their full size, on the meta device: shapes without numbers."""

import re

import pytest
import torch
from torch import nn

from tools.benchmark.published_configs import ARCHITECTURES
from trace_mm.attention import AttentionWatch
from trace_mm.diffusion import attention_layers
from trace_mm.models import TraceTeacher

# Parameters of the denoiser, native size in pixels, finest grid, first and last layer.
EXPECTED = {
    "sd15": (859_520_964, 512, 64, "down_blocks.0.attentions.0", "up_blocks.3.attentions.2"),
    "sd21": (865_910_724, 768, 96, "down_blocks.0.attentions.0", "up_blocks.3.attentions.2"),
    "sdxl": (2_567_463_684, 1024, 64, "down_blocks.1.attentions.0", "up_blocks.1.attentions.2"),
    "pixart-alpha": (611_349_152, 1024, 64, "transformer_blocks.0", "transformer_blocks.27"),
    "pixart-sigma": (610_856_096, 1024, 64, "transformer_blocks.0", "transformer_blocks.27"),
    "sd3-medium": (2_028_328_000, 1024, 64, "transformer_blocks.0", "transformer_blocks.23"),
    "sd35-medium": (2_243_171_520, 1024, 64, "transformer_blocks.0", "transformer_blocks.23"),
    "sd35-large": (8_056_627_520, 1024, 64, "transformer_blocks.0", "transformer_blocks.37"),
    "flux-dev": (11_901_408_320, 1024, 64, "transformer_blocks.0", "single_transformer_blocks.37"),
    "flux-schnell": (
        11_891_178_560,
        1024,
        64,
        "transformer_blocks.0",
        "single_transformer_blocks.37",
    ),
}
# How many layers there are of each stride, in latent pixels.
STRIDES = {
    "sd15": {1: 5, 2: 5, 4: 5, 8: 1},
    "sd21": {1: 5, 2: 5, 4: 5, 8: 1},
    "sdxl": {2: 10, 4: 60},
    "pixart-alpha": {2: 28},
    "pixart-sigma": {2: 28},
    "sd3-medium": {2: 24},
    "sd35-medium": {2: 24 + 13},
    "sd35-large": {2: 38},
    "flux-dev": {2: 19 + 38},
    "flux-schnell": {2: 19 + 38},
}
# Linear layers of a block: those of attention and of the feed-forward networks. The last joint
# block of Stable Diffusion 3 has no text to go on with, and lacks three.
LORA_LAYERS = {
    "sd15": 16 * 10,
    "sd21": 16 * 10,
    "sdxl": 70 * 10,
    "pixart-alpha": 28 * 10,
    "pixart-sigma": 28 * 10,
    "sd3-medium": 24 * 12 - 3,
    "sd35-medium": 24 * 12 - 3 + 13 * 4,
    "sd35-large": 38 * 12 - 3,
    "flux-dev": 19 * 12 + 38 * 5,
    "flux-schnell": 19 * 12 + 38 * 5,
}
# What stays as it is: embeddings of time and text, modulation, and what surrounds the blocks.
NOT_ADAPTED = re.compile(
    r"(.*\.)?(time_\w+|add_embedding|adaln_single|caption_projection|context_embedder|x_embedder"
    r"|norm\w*|proj_in|proj_out)(\..*)?"
)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def backbone(name):
    with torch.device("meta"):
        return ARCHITECTURES[name].build_backbone()


def test_it_is_the_published_model(name, backbone):
    parameters, native, _, first, last = EXPECTED[name]
    assert sum(weight.numel() for weight in backbone.denoiser.parameters()) == parameters
    assert backbone.native_size == native
    assert backbone.latent_stride == 8
    layers = attention_layers(backbone.denoiser, ARCHITECTURES[name].text_tokens)
    assert layers[0].name.startswith(first + ".") and layers[-1].name.startswith(last + ".")
    counts = dict.fromkeys(STRIDES[name], 0)
    for layer in layers:
        counts[layer.stride] += 1
    assert counts == STRIDES[name]


@pytest.mark.parametrize("shape", [(1, 1), (0.75, 1.5)])
def test_a_pass_reads_each_layers_image_tokens(name, backbone, shape):
    """What the model really attends with: as many image tokens as the grid, the rest is text."""
    native, grid = EXPECTED[name][1:3]
    architecture = ARCHITECTURES[name]
    height, width = (int(native // 8 * side) for side in shape)
    noisy = torch.zeros(1, architecture.vae["latent_channels"], height, width, device="meta")
    calls = []
    with torch.no_grad(), AttentionWatch(backbone.layers, lambda *found: calls.append(found)):
        output = backbone.denoise(noisy, 100)
    assert output.shape == noisy.shape
    assert backbone.grid(noisy) == (int(grid * shape[0]), int(grid * shape[1]))
    assert [layer.name for layer, _ in calls] == [layer.name for layer in backbone.layers]
    for layer, call in calls:
        assert not call.is_masked
        image = height // layer.stride * (width // layer.stride)
        joint = layer.image_tokens != slice(None)
        text = architecture.text_tokens if joint else 0
        assert call.query.shape[2] == call.key.shape[2] == image + text
        assert call.query[:, :, layer.image_tokens].shape[2] == image


def test_where_the_text_is(name, backbone):
    """First in FLUX.1, last in the joint layers of Stable Diffusion 3, apart in all others."""
    kinds = {"flux": slice(ARCHITECTURES[name].text_tokens, None), "sd3-": slice(0, -333)}
    image = kinds.get(name[:4], slice(None))
    if name.startswith("sd35"):
        for layer in backbone.layers:
            alone = layer.name.endswith(".attn2")  # the image attends to itself
            assert layer.image_tokens == (slice(None) if alone else slice(0, -333))
    else:
        assert all(layer.image_tokens == image for layer in backbone.layers)


def test_lora_covers_attention_and_feed_forward(name, backbone):
    pattern = re.compile(backbone.family.lora_targets)
    linear = {
        name
        for name, module in backbone.denoiser.named_modules()
        if isinstance(module, nn.Linear) and "blocks." in name
    }
    adapted = {name for name in linear if pattern.fullmatch(name)}
    assert len(adapted) == LORA_LAYERS[name]
    rest = linear - adapted
    assert all(NOT_ADAPTED.fullmatch(name) for name in rest), rest


@pytest.mark.slow
def test_edges_by_the_full_stable_diffusion():
    """The true U-Net and autoencoder, with random weights, on a small image."""
    torch.manual_seed(0)
    backbone = ARCHITECTURES["sd15"].build_backbone()
    teacher = TraceTeacher((backbone, {}), timesteps=[0, 500], size=128)
    sample = teacher.predict([torch.rand(3, 128, 192)])[0]
    assert sample.pred_edges.shape == (128, 192)
    assert sample.pred_edges.isfinite().all() and sample.pred_edges.min() >= 0
    assert sample.pred_edges.max() <= 1 and sample.pred_edges.std() > 0
    assert set(sample.scores) == {500}
