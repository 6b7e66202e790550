"""The attention among image tokens in a language model, on tiny ones loaded by the real code."""

import pytest
import torch

from tests.tiny_language_models import IMAGE_TOKEN, save_llava_whole, save_qwen_whole
from trace_mm.models import VisionTeacher
from trace_mm.models.identity import describe_model
from trace_mm.ops.mutual_attention import mutual_attention
from trace_mm.vision import load_vision_backbone

SAVED_BY = {"llava": (save_llava_whole, 4), "qwen": (save_qwen_whole, 8)}


@pytest.fixture(params=SAVED_BY)
def model(request, tmp_path):
    """A folder, and the side of a token in pixels."""
    save, side = SAVED_BY[request.param]
    return save(tmp_path / request.param), side


def load(model, **options):
    return load_vision_backbone(str(model[0]), part="language", **options)


def picture(height=16, width=24, seed=0):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def whole_pass(backbone, image):
    """The maps of a plain pass of the model with eager attention, over all keys."""
    pixels = (image - backbone.mean) / backbone.std
    height, width = backbone.grid(*image.shape[2:])
    count, start = height * width, len(backbone._before)
    ids = torch.tensor([[*backbone._before, *[IMAGE_TOKEN] * count, *backbone._after]])
    network = backbone.model
    network.set_attn_implementation("eager")
    try:
        kind = type(backbone.dialogue).__name__
        if kind == "LlavaDialogue":
            options = {"pixel_values": pixels}
        else:
            side, group = 4, 2
            rows, columns = image.shape[2] // side, image.shape[3] // side
            patches = [
                pixels[0, :, y : y + side, x : x + side][:, None].expand(-1, 2, -1, -1).flatten()
                for top in range(0, rows, group)
                for left in range(0, columns, group)
                for y in (side * top, side * (top + 1))
                for x in (side * left, side * (left + 1))
            ]
            options = {
                "pixel_values": torch.stack(patches),
                "image_grid_thw": torch.tensor([[1, rows, columns]]),
                "mm_token_type_ids": (ids == IMAGE_TOKEN).int(),
            }
        maps = network(input_ids=ids, output_attentions=True, **options).attentions
    finally:
        network.set_attn_implementation("sdpa")
    chosen = slice(start, start + count)
    return [one[:, :, chosen, chosen] for one in maps]


@torch.no_grad()
def test_it_is_the_attention_of_a_plain_pass(model):
    """Rows over all keys, of which those of words are cut off, divided by what is left."""
    backbone = load(model)
    image = picture(16, 16)
    maps = [
        (one / one.sum(-1, keepdim=True)).mean(1) for one in whole_pass(backbone, image)
    ]  # (1, N, N) each
    found = backbone.causal_attention(image)
    torch.testing.assert_close(found, torch.stack(maps).mean(0), atol=1e-5, rtol=1e-4)
    assert found.triu(1).abs().max() == 0 and len(maps) == 3
    torch.testing.assert_close(backbone.attention(image), mutual_attention(found))


def test_the_question_changes_nothing(model):
    backbone = load(model)
    asked = backbone.attention(picture())
    assert backbone._after
    backbone._after = [7, 7, 7]
    torch.testing.assert_close(backbone.attention(picture()), asked, atol=1e-6, rtol=1e-5)
    backbone._before = [7, *backbone._before[1:]]  # while what comes before is seen
    assert not torch.allclose(backbone.attention(picture()), asked, atol=1e-4)


def test_shapes_layers_and_sizes(model):
    backbone, side = load(model), model[1]
    assert backbone.size_multiple == side and backbone.grid(16, 24) == (16 // side, 24 // side)
    found = backbone.attention(torch.cat([picture(), picture(seed=1)]))
    count = 16 * 24 // side**2
    assert found.shape == (2, count, count)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, count))
    assert torch.equal(found[1:], backbone.attention(picture(seed=1)))
    parts = [load(model, layers=rf"layers\.{n}\.").causal_attention(picture()) for n in range(3)]
    torch.testing.assert_close(torch.stack(parts).mean(0), backbone.causal_attention(picture()))
    with pytest.raises(ValueError, match="divisible by"):
        backbone.attention(torch.rand(1, 3, 16, 18))
    with pytest.raises(ValueError, match="no self-attention layer matches"):
        load(model, layers="blocks")


def test_a_teacher_reads_edges(model):
    config = {"pretrained": str(model[0]), "part": "language"}
    teacher = VisionTeacher(config, size=32)
    found = teacher.predict([picture()[0]])[0]
    assert found.pred_edges.shape == (16, 24) and found.pred_edges.max() == 1
    told = describe_model({"type": "VisionTeacher", "backbone": config, "size": 32})
    del config["part"]
    plain = describe_model({"type": "VisionTeacher", "backbone": config, "size": 32})
    assert told == {**plain, "backbone.part": "language"}


def test_what_has_no_such_language_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(ValueError, match="the language model of a clip cannot be read"):
        load_vision_backbone(str(tmp_path), part="language")
    with pytest.raises(ValueError, match="part='language' is of LLaVA"):
        load_vision_backbone("timm:vit_tiny_patch16_224", part="language")
    with pytest.raises(ValueError, match="part must be"):
        load_vision_backbone(str(tmp_path), part="words")
