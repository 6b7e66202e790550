"""Edges from the attention of vision transformers."""

import pytest
import torch

from tests import tiny_towers
from trace_mm.models import VisionTeacher
from trace_mm.ops import attention_boundary_divergence, normalize_edges, upsample_edges
from trace_mm.registry import MODELS
from trace_mm.structures import EdgeDataSample
from trace_mm.vision import VisionBackbone, load_vision_backbone


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("towers")
    return {
        "llava": tiny_towers.save_llava(folder / "llava"),
        "qwen": tiny_towers.save_qwen(folder / "qwen"),
    }


@pytest.fixture(params=["llava", "qwen"])
def teacher(request, folders):
    return VisionTeacher({"pretrained": folders[request.param]}, size=24)


def colour_matcher(made, prefix):
    """A tower whose patches attend to patches of their own colour, wherever they are."""
    tower = made()
    with torch.no_grad():
        for name, weight in tower.named_parameters():
            if "position_embedding" in name or name.endswith("bias"):
                weight.zero_()
            if name.endswith(("proj.weight", "qkv.weight")):
                weight.normal_(0, 0.5, generator=torch.Generator().manual_seed(1))
        if prefix == "qwen":  # queries are keys
            for block in tower.blocks:
                block.attn.qkv.weight[16:32] = block.attn.qkv.weight[:16] * 3
            tower.rotary_pos_emb.inv_freq.zero_()
        else:
            for layer in tower.encoder.layers:
                layer.self_attn.k_proj.weight.copy_(layer.self_attn.q_proj.weight * 3)
    return VisionBackbone(tower)


@pytest.mark.parametrize(
    ("name", "made"), [("llava", tiny_towers.clip_tower), ("qwen", tiny_towers.qwen_tower)]
)
@pytest.mark.parametrize("axis", [0, 1])
def test_edges_lie_where_the_image_changes(name, made, axis):
    """A red and a blue part side by side, or on top of each other, in an image that is not square.

    The border is off the middle, so that a transposed or turned grid would put it elsewhere.
    """
    image = torch.zeros(3, 32, 64)
    border = (8, 16)[axis]
    first, second = image.split([border, image.shape[1 + axis] - border], dim=1 + axis)
    first[0], second[2] = 1, 1  # red and blue
    teacher = VisionTeacher(colour_matcher(made, name), size=round((32 * 64) ** 0.5))
    assert teacher.attention_map(image)[1] == (8, 16)
    edges = teacher.predict([image])[0].pred_edges
    profile = edges.mean(1 - axis)  # along the axis that the border crosses
    assert edges.shape == (32, 64)
    assert abs(int(profile.argmax()) + 0.5 - border) <= 4  # a patch
    far = torch.ones_like(profile, dtype=torch.bool)
    far[border - 8 : border + 8] = False
    assert profile.max() > 2 * profile[far].max()


def test_edges_are_eq_2_of_the_fused_attention(teacher):
    image = torch.rand(3, 24, 24)
    attention, grid = teacher.attention_map(image)
    assert torch.equal(attention, teacher.backbone.attention(image[None])) and grid == (6, 6)
    boundary = upsample_edges(attention_boundary_divergence(attention, grid), (24, 24), "bicubic")
    found = teacher.predict([image])[0]
    torch.testing.assert_close(found.pred_edges, normalize_edges(boundary)[0, 0])
    assert "timestep" not in found and "scores" not in found


def test_every_image_keeps_its_size(teacher):
    images = [torch.rand(3, *size) for size in ((24, 24), (20, 33), (1, 50), (3, 2))]
    for image, sample in zip(images, teacher.predict(images), strict=True):
        assert sample.pred_edges.shape == image.shape[1:]
        assert torch.isfinite(sample.pred_edges).all()
        assert sample.pred_edges.min() >= 0 and sample.pred_edges.max() <= 1


def test_the_image_is_shown_at_the_size_that_was_asked_for(folders):
    image = torch.rand(3, 16, 64)
    native = VisionTeacher({"pretrained": folders["llava"]})
    assert native.size == 16 and native.attention_map(image)[1] == (2, 8)
    assert VisionTeacher({"pretrained": folders["llava"]}, size=32).attention_map(image)[1] == (
        4,
        16,
    )


def test_tiles_of_an_image_that_fits_in_one_change_nothing(folders):
    backbone, image = load_vision_backbone(folders["qwen"]), torch.rand(3, 24, 24)
    plain, tiled, cut = (VisionTeacher(backbone, size=24, tile=tile) for tile in (None, 24, 16))
    whole = plain.predict([image])[0].pred_edges
    assert torch.equal(whole, tiled.predict([image])[0].pred_edges)
    assert not torch.equal(whole, cut.predict([image])[0].pred_edges)


def test_it_is_registered_and_runs_a_test_step(folders):
    backbone = {"pretrained": str(folders["llava"]), "dtype": "bfloat16"}
    teacher = MODELS.build({"type": "VisionTeacher", "backbone": backbone, "size": 24})
    batch = {"inputs": [torch.rand(3, 20, 33)], "data_samples": [EdgeDataSample()]}
    assert [sample.pred_edges.shape for sample in teacher.test_step(batch)] == [(20, 33)]


def test_nonsense_is_refused(teacher, folders):
    with pytest.raises(ValueError, match="VisionTeacher is not trained: it has no mode 'loss'"):
        teacher([torch.rand(3, 8, 8)], mode="loss")
    with pytest.raises(ValueError, match=r"an image must be \(3, H, W\)"):
        teacher.predict([torch.rand(1, 8, 8)])
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        VisionTeacher({"pretrained": folders["llava"]}, size=0)
