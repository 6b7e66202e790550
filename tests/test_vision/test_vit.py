"""Key features of timm's vision transformers; skipped where timm is not installed."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from trace_mm.vision import PatchFeatures, load_vit

DINO = "vit_small_patch8_224.dino"


@pytest.fixture(scope="module")
def timm():
    return pytest.importorskip("timm")


@pytest.fixture(scope="module")
def tiny_vit(timm):
    """Two blocks, a class token and two registers, patches of 4 pixels, made for 16x16 pixels."""
    torch.manual_seed(0)
    return timm.models.VisionTransformer(
        img_size=16,
        patch_size=4,
        embed_dim=12,
        depth=2,
        num_heads=3,
        num_classes=0,
        reg_tokens=2,
        dynamic_img_size=True,
    ).eval()


def test_features_are_the_keys_of_the_layer(tiny_vit):
    images = torch.rand(2, 3, 12, 20)  # not square, and not the model's own size
    for layer in (0, -1):
        kept = []
        handle = tiny_vit.blocks[layer].attn.qkv.register_forward_hook(
            lambda module, inputs, output, kept=kept: kept.append(output)
        )
        found = PatchFeatures(tiny_vit, layer)(images)
        handle.remove()
        tokens = kept[0].detach()  # (B, 3 + 3 * 5, 3 * 12): class token, registers, patches
        for row in range(3):
            for column in range(5):
                expected = tokens[:, 3 + 5 * row + column, 12:24]
                torch.testing.assert_close(found[:, row, column], expected)
        assert found.shape == (2, 3, 5, 12)


def test_kinds_differ_and_the_output_does_not(tiny_vit):
    images = torch.rand(1, 3, 16, 16)
    extractor = PatchFeatures(tiny_vit)
    pixels = (images - extractor.mean) / extractor.std
    before = tiny_vit.forward_features(pixels)
    kinds = [PatchFeatures(tiny_vit, kind=kind)(images) for kind in ("key", "query", "value")]
    assert not torch.equal(kinds[0], kinds[1]) and not torch.equal(kinds[1], kinds[2])
    assert torch.equal(tiny_vit.forward_features(pixels), before)


def test_an_image_alone_has_the_features_it_has_in_a_batch(tiny_vit):
    images = torch.rand(3, 3, 16, 24)
    extractor = PatchFeatures(tiny_vit)
    torch.testing.assert_close(extractor(images)[1:2], extractor(images[1:2]))


def test_checkpoint_gives_the_features_of_the_saved_model(timm, tmp_path):
    saved = load_vit(DINO, pretrained=False)
    assert saved.size_multiple == 8
    torch.save(saved.model.state_dict(), tmp_path / "dino.pth")
    images = torch.rand(1, 3, 40, 24)
    found = load_vit(DINO, checkpoint=tmp_path / "dino.pth")(images)
    assert found.shape == (1, 5, 3, 384)
    assert torch.equal(found, saved(images))


def test_bad_checkpoints_are_refused(timm, tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        load_vit(DINO, checkpoint=tmp_path / "absent.pth")
    junk = tmp_path / "junk.pth"
    junk.write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"junk\.pth"):
        load_vit(DINO, checkpoint=junk)
    part = load_vit(DINO, pretrained=False).model.state_dict()
    del part["norm.weight"]
    torch.save(part, tmp_path / "part.pth")
    with pytest.raises(ValueError, match=r"1 are missing \(norm\.weight\)"):
        load_vit(DINO, checkpoint=tmp_path / "part.pth")


def test_bad_models_and_options_are_refused(timm, tiny_vit):
    with pytest.raises(ValueError, match="no_such_model"):
        load_vit("no_such_model")
    with pytest.raises(ValueError, match="plain vision transformer"):
        PatchFeatures(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="kind"):
        PatchFeatures(tiny_vit, kind="keys")
    with pytest.raises(ValueError, match="no block 2"):
        PatchFeatures(tiny_vit, layer=2)
    with pytest.raises(ValueError, match="divisible by 4"):
        PatchFeatures(tiny_vit)(torch.rand(1, 3, 16, 18))


def test_without_timm_the_error_says_what_to_install():
    code = (
        "import sys; sys.modules['timm'] = None\n"
        "from trace_mm.vision import load_vit\n"
        f"load_vit({DINO!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "trace_mm[vision]" in done.stderr
