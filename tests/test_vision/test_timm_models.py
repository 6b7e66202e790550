"""timm's models: which are refused, and how the others are built; skipped without timm."""

import pytest
import torch

from trace_mm.vision import VisionBackbone, load_vision_backbone

timm = pytest.importorskip("timm")


@pytest.fixture
def no_downloads(monkeypatch, tower_source):
    """Whoever wants to download weights fails."""
    tower_source("tiny_dinov2")  # makes its name known

    def refuse(*arguments, **options):
        raise AssertionError("a download")

    for name in ("load_pretrained", "load_state_dict_from_hf", "load_state_dict_from_url"):
        monkeypatch.setattr(timm.models._builder, name, refuse)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("swin_tiny_patch4_window7_224", "class SwinTransformer are not supported.* whole image"),
        ("samvit_base_patch16", "is no plain vision transformer .*windowed"),
        ("vit_small_r26_s32_224", "class HybridEmbed are not supported.*features of a convol"),
        ("resnet18", "is no plain vision transformer"),
        ("vit_tiny_patch16_xp_224", "timm has no model 'vit_tiny_patch16_xp_224'"),
    ],
)
def test_models_without_a_map_of_the_whole_image_are_refused(name, message, no_downloads):
    for random_weights in (True, False):
        with pytest.raises(ValueError, match=message) as caught:
            load_vision_backbone(f"timm:{name}", random_weights=random_weights)
        assert name in str(caught.value)


def test_names_without_weights_are_refused(no_downloads, tmp_path):
    both = r"vit_tiny_patch16_224\.augreg_in21k, vit_tiny_patch16_224\.augreg_in21k_ft_in1k"
    with pytest.raises(ValueError, match=rf"weights 'vit_tiny_patch16_224\.x'; .* are: {both}$"):
        load_vision_backbone("timm:vit_tiny_patch16_224.x")
    name = "vit_base_patch16_plus_240"  # of which nobody published any
    with pytest.raises(ValueError, match=f"timm has no weights of {name}: give a local file"):
        load_vision_backbone(f"timm:{name}")
    with pytest.raises(ValueError, match="timm has no weights of tiny_dinov2: give a local file"):
        load_vision_backbone("timm:tiny_dinov2")
    assert len(load_vision_backbone(f"timm:{name}", random_weights=True).layers) == 12


def test_parallel_blocks_are_refused():
    model = timm.models.VisionTransformer(
        img_size=16,
        patch_size=4,
        embed_dim=16,
        depth=1,
        num_heads=2,
        block_fn=timm.models.vision_transformer.ParallelScalingBlock,
        dynamic_img_size=True,
    )
    with pytest.raises(ValueError, match="ParallelScalingBlock are not supported"):
        VisionBackbone(model)


def test_without_fused_attention_the_error_says_so(tower_source, monkeypatch):
    backbone = load_vision_backbone(**tower_source("tiny_dinov2"))
    monkeypatch.setattr(backbone.layers[1].module, "fused_attn", False)
    with pytest.raises(ValueError, match=r"blocks\.1\.attn: no call .* timm's fused attention"):
        backbone.attention(torch.rand(1, 3, 16, 16))


def test_prefix_tokens_are_left_out(tower_source):
    first = {
        name: load_vision_backbone(**tower_source(name)).layers[0].image_tokens.start
        for name in ("tiny_dinov2", "tiny_dinov2_reg4", "tiny_eva02", "tiny_dinov3")
    }
    assert first == {"tiny_dinov2": 1, "tiny_dinov2_reg4": 5, "tiny_eva02": 1, "tiny_dinov3": 5}


def test_the_distillation_token_of_deit_is_left_out():
    name = "timm:deit_tiny_distilled_patch16_224"
    backbone = load_vision_backbone(name, random_weights=True, layers=r"blocks\.0\.")
    assert backbone.layers[0].image_tokens.start == 2
    attention = backbone.attention(torch.rand(1, 3, 32, 48))
    assert attention.shape == (1, 6, 6)
    torch.testing.assert_close(attention.sum(-1), torch.ones(1, 6))


def test_weights_come_in_the_dtype_that_was_asked_for(tower_source):
    backbone = load_vision_backbone(**tower_source("tiny_dinov3"), dtype="bfloat16")
    assert {weight.dtype for weight in backbone.tower.parameters()} == {torch.bfloat16}
    assert torch.get_default_dtype() == torch.float32  # what it was
    stored = torch.load(tower_source("tiny_dinov3")["checkpoint"])
    found = backbone.tower.state_dict()
    assert all(torch.equal(found[name], stored[name].bfloat16()) for name in stored)


def test_colours_are_those_of_timm():
    backbone = load_vision_backbone("timm:eva02_tiny_patch14_224", random_weights=True)
    assert backbone.mean.flatten().tolist() == pytest.approx([0.48145466, 0.4578275, 0.40821073])
    assert (backbone.size_multiple, backbone.native_size, len(backbone.layers)) == (14, 224, 12)


def test_local_files_only_is_refused(tower_source):
    with pytest.raises(ValueError, match="HF_HUB_OFFLINE"):
        load_vision_backbone("timm:eva02_tiny_patch14_224", local_files_only=True)
