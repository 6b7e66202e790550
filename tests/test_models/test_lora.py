import pytest
import torch

from tests.tiny_models import tiny_unet
from trace_mm.diffusion import family_of
from trace_mm.models.lora import (
    add_lora,
    lora_disabled,
    lora_layers,
    merge_lora,
    merge_lora_weights,
)

LATENTS = torch.linspace(-1, 1, 2 * 4 * 8 * 8).view(2, 4, 8, 8)


@torch.no_grad()
def run(unet):
    text = torch.ones(2, 3, 12, dtype=unet.dtype)
    return unet(LATENTS.to(unet.dtype), 1, encoder_hidden_states=text).sample


@torch.no_grad()
def shake(unet):
    """Give the matrices B, which start at 0, other values."""
    torch.manual_seed(5)
    for layer in lora_layers(unet).values():
        layer.lora_B["default"].weight.normal_(std=0.1)


@pytest.fixture
def unet():
    return tiny_unet().requires_grad_(False)


def test_only_low_rank_matrices_of_the_transformer_are_trained(unet):
    settings = add_lora(unet, rank=3)
    assert settings == {"rank": 3, "alpha": 3, "targets": family_of(unet).lora_targets}
    trained = {name: p.shape for name, p in unet.named_parameters() if p.requires_grad}
    assert len(trained) == 2 * 7 * 10  # A and B of ten linear layers in seven blocks
    assert all(".transformer_blocks.0." in name and ".lora_" in name for name in trained)
    first = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    assert trained[f"{first}.lora_A.default.weight"] == (3, 16)
    assert trained[f"{first}.lora_B.default.weight"] == (16, 3)


def test_it_changes_nothing_at_first(unet):
    before = run(unet)
    add_lora(unet, rank=2)
    assert torch.equal(run(unet), before)


def test_the_term_is_alpha_over_rank_times_b_a(unet):
    add_lora(unet, rank=2, alpha=6, targets=r".*mid_block.*attn1\.to_q")
    shake(unet)
    ((name, layer),) = lora_layers(unet).items()
    assert name == "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    tokens = torch.randn(1, 5, 32)
    product = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    expected = tokens @ (layer.base_layer.weight + 3 * product).mT
    torch.testing.assert_close(layer(tokens), expected)


def test_it_can_be_switched_off_for_a_while(unet):
    before = run(unet)
    add_lora(unet, rank=2)
    shake(unet)
    changed = run(unet)
    assert not torch.allclose(changed, before)
    with pytest.raises(RuntimeError, match="on purpose"), lora_disabled(unet):
        assert torch.equal(run(unet), before)
        assert all(p.requires_grad for name, p in unet.named_parameters() if ".lora_" in name)
        raise RuntimeError("on purpose")
    assert torch.equal(run(unet), changed)


def test_merging_keeps_the_output_and_leaves_a_plain_denoiser(unet):
    names = set(tiny_unet().state_dict())
    add_lora(unet, rank=2, alpha=4)
    shake(unet)
    expected = run(unet)
    matrices = {name: p.clone() for name, p in unet.named_parameters() if ".lora_" in name}
    merge_lora(unet)
    assert set(unet.state_dict()) == names and not hasattr(unet, "peft_config")
    torch.testing.assert_close(run(unet), expected)
    from_file = tiny_unet().requires_grad_(False)
    merge_lora_weights(from_file, matrices, scaling=2.0)
    for name, weight in unet.state_dict().items():
        torch.testing.assert_close(from_file.state_dict()[name], weight, msg=name)


def test_matrices_are_float32_on_a_denoiser_in_half_precision(unet):
    torch.nn.Module.to(unet, torch.bfloat16)  # diffusers' own warns
    add_lora(unet, rank=2)
    assert {p.dtype for p in unet.parameters() if p.requires_grad} == {torch.float32}
    assert run(unet).dtype == torch.bfloat16


def test_what_does_not_fit_is_refused(unet):
    with pytest.raises(ValueError, match="rank of LoRA must be at least 1, got 0"):
        add_lora(unet, rank=0)
    with pytest.raises(ValueError, match="cannot be added to the layers 'no_such_layer'"):
        add_lora(unet, targets="no_such_layer")
    with pytest.raises(ValueError, match="class Linear are not supported"):
        add_lora(torch.nn.Linear(2, 2))
    layer = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    wrong = {
        f"{layer}.lora_A.default.weight": torch.zeros(2, 7),
        f"{layer}.lora_B.default.weight": torch.zeros(32, 2),
    }
    with pytest.raises(ValueError, match=f"matrices of layer {layer} do not fit"):
        merge_lora_weights(tiny_unet(), wrong, 1.0)
    with pytest.raises(ValueError, match="no layer nowhere"):
        merge_lora_weights(tiny_unet(), {"nowhere.lora_A.default.weight": torch.zeros(2, 7)}, 1.0)
