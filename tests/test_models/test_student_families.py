"""Students on every family of denoisers: training, saving, merging."""

import pytest
import torch
from diffusers import PixArtTransformer2DModel
from mmengine.optim import OptimWrapper

from tests.conftest import SAVED_BY
from tests.tiny_models import save_model
from tests.tiny_students import build, images_of, samples_of, shake, trained_parameters
from trace_mm.diffusion import load_backbone
from trace_mm.models import build_student, save_student
from trace_mm.models.lora import lora_layers

SIZE = (16, 24)
WIDE = ("sd3", "sd35", "flux-dev", "flux-schnell")  # latents of 16 channels
# What the text asks in the last block goes nowhere.
UNUSED = {"sd3": "transformer_blocks.2.attn.add_q_proj"}
UNUSED["sd35"] = UNUSED["sd3"]

# U-Nets that predict noise are trained in test_student.py.
trained = [name for name in SAVED_BY if name not in ("sd15", "sdxl")]
all_families = pytest.mark.parametrize("name", trained)
transformers = pytest.mark.parametrize("name", ["pixart-alpha", "sd3", "sd35", "flux-dev"])


def student_of(folder, name, **options):
    """A student that has been trained a little; at timestep 500 it has much to reconstruct."""
    decoder = {
        "type": "GridFreeDecoder",
        "latent_channels": 16 if name in WIDE else 4,
        "upsampling": 2,
        "width": 8,
        "depths": (1, 1, 1),
    }
    return shake(build(folder, decoder=decoder, size=16, timestep=500, **options))


def losses_of(student):
    return student(images_of(2, SIZE), samples_of(2, SIZE), mode="loss")


def gradients_of(student):
    losses = losses_of(student)
    sum(losses[name] for name in losses if name.startswith("loss")).backward()
    return {name: part.grad for name, part in trained_parameters(student).items()}


@all_families
@pytest.mark.parametrize("reconstruction", ["output", None])
def test_every_parameter_has_a_gradient(model_folder, name, reconstruction):
    """Distributed training waits for each. Without reconstruction what follows the last map has
    one of zeros.
    """
    student = student_of(model_folder(name, 5), name, reconstruction=reconstruction)
    still = {
        parameter.removeprefix("backbone.denoiser.").split(".lora_")[0]
        for parameter, gradient in gradients_of(student).items()
        if not (gradient.isfinite().all() and gradient.any())  # fails if there is none
    }
    if reconstruction is not None:
        assert still == ({UNUSED[name]} if name in UNUSED else set())
    for layer in student.backbone.layers:
        assert not {f"{layer.name}.to_q", f"{layer.name}.to_k"} & still


@torch.no_grad()
def test_what_asks_for_a_single_token_of_text_does_not_matter(model_folder):
    """PixArt's empty prompt is one: attention to it is 1 whatever queries and keys are."""
    student = student_of(model_folder("pixart-alpha", 1), "pixart-alpha")
    before = losses_of(student)
    for name, parameter in trained_parameters(student).items():
        if ".attn2.to_q." in name or ".attn2.to_k." in name:
            parameter.normal_()
    torch.testing.assert_close(losses_of(student), before)


@all_families
def test_a_step_changes_lora_and_decoder_and_nothing_else(model_folder, name):
    student = student_of(model_folder(name, 5), name).train()
    before = {name: p.detach().clone() for name, p in student.named_parameters()}
    optimizer = OptimWrapper(torch.optim.Adam(trained_parameters(student).values(), lr=0.003))
    batch = {"inputs": images_of(2, SIZE), "data_samples": samples_of(2, SIZE)}
    losses = [student.train_step(batch, optimizer)["loss"].item() for _ in range(6)]
    assert min(losses[1:]) < losses[0]
    layers = len(lora_layers(student.backbone.denoiser))
    changed = {key for key, p in student.named_parameters() if not torch.equal(p, before[key])}
    unused = {f"backbone.denoiser.{UNUSED.get(name)}.lora_{side}.default.weight" for side in "AB"}
    assert changed == trained_parameters(student).keys() - unused
    assert len([key for key in before if ".lora_" in key]) == 2 * layers


@transformers
def test_gradient_checkpointing_changes_no_gradient(model_folder, name):
    kept, recomputed = (
        gradients_of(student_of(model_folder(name, 5), name, gradient_checkpointing=option))
        for option in (False, True)
    )
    for parameter, gradient in kept.items():
        torch.testing.assert_close(recomputed[parameter], gradient, msg=parameter)


@transformers
def test_a_backbone_in_half_precision_is_trained_too(model_folder, name):
    options = {"backbone": {"dtype": "bfloat16"}, "gradient_checkpointing": True}
    student = student_of(model_folder(name, 5), name, **options)
    for parameter, gradient in gradients_of(student).items():
        assert gradient.dtype == torch.float32 and gradient.isfinite().all(), parameter
    assert student.backbone.denoiser.dtype == torch.bfloat16
    edges = student.predict(images_of(1, (20, 33)))[0].pred_edges
    assert edges.shape == (20, 33) and edges.isfinite().all()


@transformers
@pytest.mark.parametrize("merge", [False, True], ids=["with LoRA", "merged"])
def test_saved_students_predict_the_same(model_folder, tmp_path, name, merge):
    folder = model_folder(name, 5)
    student = student_of(folder, name).eval()
    file = save_student(student, tmp_path / "student.safetensors")
    again = build_student(file, {"pretrained": str(folder)}, merge=merge)
    images = images_of(1, (20, 33))
    found, expected = (one.predict(images)[0].pred_edges for one in (again, student))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert bool(lora_layers(again.backbone.denoiser)) != merge
    plain = student_of(folder, name, lora=None).eval()
    assert (plain.predict(images)[0].pred_edges - expected).abs().max() > 1e-3
    student.merge()
    merged = student.predict(images)[0].pred_edges
    torch.testing.assert_close(merged, expected, atol=1e-5, rtol=1e-4)


def test_weights_of_another_backbone_are_refused(model_folder, tmp_path):
    file = save_student(
        student_of(model_folder("flux-dev", 5), "flux-dev"), tmp_path / "a.safetensors"
    )
    with pytest.raises(ValueError, match="config entry guidance_embeds is True in one"):
        build_student(file, {"pretrained": str(model_folder("flux-schnell", 5))})
    with pytest.raises(ValueError, match=r"FluxTransformer2DModel; .* is a SD3Transformer2DModel"):
        build_student(file, {"pretrained": str(model_folder("sd3", 5))})


def test_a_folder_of_todays_class_is_the_same_backbone(model_folder, tmp_path):
    """Published PixArt folders name a class of old; what diffusers saves of them does not."""
    folder = model_folder("pixart-alpha", 5)
    student = student_of(folder, "pixart-alpha").eval()
    file = save_student(student, tmp_path / "student.safetensors")
    backbone = load_backbone(folder)
    parts = {"transformer": backbone.denoiser, "scheduler": backbone.scheduler, "vae": backbone.vae}
    text = {name: part.contiguous() for name, part in backbone.null_text.items()}
    (tmp_path / "today").mkdir()
    today = save_model(tmp_path / "today", "PixArtAlphaPipeline", parts, null_text=text)
    again = build_student(file, {"pretrained": str(today)})
    assert isinstance(again.backbone.denoiser, PixArtTransformer2DModel)
    found, expected = (one.predict(images_of(1))[0].pred_edges for one in (again, student))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
