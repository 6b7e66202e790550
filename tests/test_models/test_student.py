import copy

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch.nn import functional

from tests.tiny_students import (
    DECODER,
    build,
    images_of,
    samples_of,
    shake,
    trained_parameters,
)
from trace_mm.diffusion import content_seed, seeded_noise
from trace_mm.models import TraceStudent, TraceTeacher, save_student
from trace_mm.ops import PSEUDO_LABELS, pseudo_edges
from trace_mm.registry import MODELS
from trace_mm.structures import EdgeDataSample


@pytest.fixture(scope="module")
def student(flow_folder):
    return shake(build(flow_folder))


def dice_by_loops(prediction, target):
    """Eq. 10, in float64, for one image."""
    overlap = square_p = square_e = 0.0
    for p, e in zip(prediction.flatten().tolist(), target.flatten().tolist(), strict=True):
        if e != -1:
            overlap, square_p, square_e = overlap + p * e, square_p + p * p, square_e + e * e
    return 1 - 2 * overlap / (square_p + square_e)


def loss_of(student, images, samples):
    return total(student(images, samples, mode="loss"))


def total(losses):
    """What is trained on; shares of labels are for the log."""
    return sum(value for name, value in losses.items() if name.startswith("loss"))


def test_only_lora_and_decoder_are_trained(student):
    student.train()
    for name, parameter in student.named_parameters():
        ours = name.startswith("decoder.") or ".lora_" in name
        assert parameter.requires_grad == ours, name
    assert student.decoder.training and not student.backbone.training
    assert not any(module.training for module in student.backbone.modules())


@pytest.mark.parametrize("folder", ["sd15_folder", "flow_folder"])
def test_the_pass_is_one_forward_at_the_least_noisy_step(folder, request):
    student = build(request.getfixturevalue(folder))
    calls = []
    student.backbone.denoiser.register_forward_pre_hook(lambda _, args: calls.append(args))
    sample = student.predict(images_of(1))[0]
    assert len(calls) == 1
    timestep = 1 if folder == "flow_folder" else 0
    assert calls[0][1].tolist() == [timestep] and sample.timestep == timestep
    assert sample.scores == {}


def test_the_decoder_reads_the_fused_attention_of_the_noised_image(student):
    image = images_of(1)[0]
    latents = student.backbone.encode(image[None])
    noise = seeded_noise(content_seed(0, image), (1, 4, 8, 8))[0]
    with torch.no_grad():
        noisy = 0.999 * latents + 0.001 * noise
        attention = student.backbone.attention(noisy, 1)
        logits = student.decoder(attention, (8, 8), latents)
        expected = functional.interpolate(logits, (16, 16), mode="bicubic").sigmoid()[0, 0]
        found = student.predict([image])[0].pred_edges
        torch.testing.assert_close(student([image], mode="tensor"), logits)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("scheme", PSEUDO_LABELS)
@pytest.mark.parametrize("folder", ["sd15_folder", "flow_folder"])
def test_the_loss_is_eq_10_plus_the_reconstruction_error(folder, scheme, request):
    options = {"reconstruction": "latent", "reconstruction_weight": 1.0}
    student = shake(build(request.getfixturevalue(folder), pseudo_label=scheme, **options))
    images, samples = images_of(2), samples_of(2)
    losses = student(images, samples, mode="loss")
    edges, errors = [], []
    for image, sample in zip(images, samples, strict=True):
        target = pseudo_edges(sample.pseudo_edges[None, None], scheme)[0, 0]
        edges.append(dice_by_loops(student.predict([image])[0].pred_edges.double(), target))
        noise = seeded_noise(content_seed(0, image), (1, 4, 8, 8))[0]
        with torch.no_grad():
            latents = student.backbone.encode(image[None])
            noisy = student.backbone.add_noise(latents, noise, student.timestep)
            output = student.backbone.denoise(noisy, student.timestep)
        if folder == "flow_folder":  # App. C.2
            guess = noise - output
        else:
            signal = 1 - 0.00085
            guess = (noisy - (1 - signal) ** 0.5 * output) / signal**0.5
        errors.append((guess - latents).square().mean())
    torch.testing.assert_close(losses["loss_edge"].item(), sum(edges) / 2, atol=1e-5, rtol=0)
    torch.testing.assert_close(losses["loss_reconstruction"], sum(errors) / 2, rtol=1e-3, atol=1e-9)


def test_pixels_are_compared_through_the_vae(flow_folder):
    student = shake(build(flow_folder, reconstruction="pixel", reconstruction_weight=3.0))
    images = images_of(2)
    found = student.run(torch.stack(images))
    expected = (student.backbone.decode(found.reconstruction) - torch.stack(images)).square().mean()
    losses = student(images, samples_of(2), mode="loss")
    torch.testing.assert_close(losses["loss_reconstruction"], 3 * expected)


def test_without_reconstruction_every_parameter_still_has_a_gradient(flow_folder):
    """Distributed training waits for the gradient of each."""
    student = build(flow_folder, reconstruction=None)
    losses = student(images_of(2), samples_of(2), mode="loss")
    assert {name for name in losses if "loss" in name} == {"loss_edge"}
    losses["loss_edge"].backward()
    assert all(p.grad is not None for p in trained_parameters(student).values())


@pytest.mark.parametrize("reconstruction", ["latent", None])
def test_the_decoder_can_be_trained_alone(flow_folder, reconstruction):
    student = shake(build(flow_folder, reconstruction=reconstruction, timestep=500))
    student.loss(images_of(2), samples_of(2))["loss_edge"].backward()
    together = {name: p.grad.clone() for name, p in student.decoder.named_parameters()}
    student.zero_grad()
    student.decoder_only = True
    losses = student.loss(images_of(2), samples_of(2))
    losses["loss_edge"].backward()
    assert {name for name in losses if "loss" in name} == {"loss_edge"}
    for name, parameter in trained_parameters(student).items():
        if name.startswith("decoder."):
            expected = together[name.removeprefix("decoder.")]
            torch.testing.assert_close(parameter.grad, expected)
        else:
            assert not parameter.grad.any()


@pytest.mark.parametrize("reconstruction", ["output", "latent", "pixel", None])
def test_gradients_are_those_of_finite_differences(flow_folder, reconstruction):
    """Along the gradient of an early LoRA matrix, of the decoder, and of all that is trained."""
    # At timestep 500 the reconstruction has a gradient that float32 can measure.
    student = shake(build(flow_folder, reconstruction=reconstruction, timestep=500))
    images, samples = images_of(2), samples_of(2)
    loss_of(student, images, samples).backward()
    parameters = trained_parameters(student)
    for part in (
        "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A",
        "decoder",
        "",
    ):
        chosen = [p for name, p in parameters.items() if part in name]
        norm = torch.stack([p.grad.square().sum() for p in chosen]).sum().sqrt().item()
        values = []
        for step in (1e-2, -1e-2):
            with torch.no_grad():
                for parameter in chosen:
                    parameter += step / norm * parameter.grad
                values.append(loss_of(student, images, samples).item())
                for parameter in chosen:
                    parameter -= step / norm * parameter.grad
        assert norm > 1e-4, part
        assert (values[0] - values[1]) / 2e-2 == pytest.approx(norm, rel=2e-2, abs=2e-5), part


def test_gradient_checkpointing_changes_no_gradient(flow_folder):
    found = []
    for checkpointing in (False, True):
        student = shake(build(flow_folder, gradient_checkpointing=checkpointing))
        loss_of(student, images_of(2), samples_of(2)).backward()
        found.append({name: p.grad for name, p in trained_parameters(student).items()})
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, msg=name)


def test_a_step_of_training_changes_what_is_trained_and_nothing_else(flow_folder):
    student = shake(build(flow_folder)).train()
    before = {name: p.detach().clone() for name, p in student.named_parameters()}
    optimizer = torch.optim.Adam(trained_parameters(student).values(), lr=0.01)
    batch = {"inputs": images_of(2), "data_samples": samples_of(2)}
    losses = [student.train_step(batch, OptimWrapper(optimizer))["loss"] for _ in range(8)]
    assert losses[-1] < losses[0]
    for name, parameter in student.named_parameters():
        changed = not torch.equal(parameter, before[name])
        # The empty prompt of the tiny model is zeros, so keys and values made of it are too.
        assert changed == parameter.requires_grad or "attn2" in name, name


def test_autocast_trains_in_half_precision(flow_folder):
    student = shake(build(flow_folder, reconstruction="pixel"))
    images, samples = images_of(2), samples_of(2)
    expected = student(images, samples, mode="loss")
    with torch.autocast("cpu", torch.bfloat16):
        losses = student(images, samples, mode="loss")
    total(losses).backward()
    for name, value in losses.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, expected[name], rtol=0.05, atol=0.01)
    for parameter in trained_parameters(student).values():
        assert parameter.grad.dtype == torch.float32 and parameter.grad.isfinite().all()


def test_a_backbone_in_half_precision_is_trained_too(flow_folder):
    student = build(flow_folder, backbone={"dtype": "bfloat16"})
    loss_of(student, images_of(2), samples_of(2)).backward()
    assert student.backbone.denoiser.dtype == torch.bfloat16
    for parameter in trained_parameters(student).values():
        assert parameter.dtype == torch.float32 and parameter.grad.isfinite().all()


@pytest.mark.parametrize("size", [(16, 16), (20, 33), (1, 50), (3, 2)])
def test_images_of_any_size(student, size):
    sample = student.predict(images_of(1, size))[0]
    assert sample.pred_edges.shape == size and sample.pred_edges.dtype == torch.float32
    assert sample.pred_edges.min() >= 0 and sample.pred_edges.max() <= 1


def test_results_do_not_depend_on_batch_or_order(student):
    images = [*images_of(2), *images_of(1, (20, 33))]
    together = [sample.pred_edges for sample in student.predict(images)]
    alone = [student.predict([image])[0].pred_edges for image in reversed(images)]
    assert all(torch.equal(a, b) for a, b in zip(together, reversed(alone), strict=True))


def test_a_decoder_with_a_fixed_grid_is_shown_that_grid(flow_folder):
    decoder = {"type": "ConvDecoder", "tokens": 96, "grid": (8, 12)}
    student = build(flow_folder, decoder=decoder)
    assert student.run(torch.rand(1, 3, 40, 40)).images.shape == (1, 3, 16, 24)
    assert student.predict(images_of(1, (9, 31)))[0].pred_edges.shape == (9, 31)


@pytest.mark.parametrize(
    "decoder",
    [
        {"type": "ConvDecoder", "tokens": 64},
        {"type": "GridFreeDecoder", "latent_channels": 4, "upsampling": 2},
        {"type": "UNetDecoder", "width": 4, "levels": 2},
        {"type": "Mask2FormerStyleDecoder", "width": 16, "queries": 4, "heads": 2},
    ],
    ids=lambda decoder: decoder["type"],
)
def test_each_decoder_trains_and_predicts(flow_folder, decoder):
    student = build(flow_folder, decoder=decoder).train()
    with torch.autocast("cpu", torch.bfloat16):
        losses = student(images_of(2), samples_of(2), mode="loss")
    total(losses).backward()
    for name, parameter in trained_parameters(student).items():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    edges = student.eval().predict(images_of(1, (20, 33)))[0].pred_edges
    assert edges.shape == (20, 33) and edges.isfinite().all()


def test_it_is_shown_the_area_that_it_is_told(flow_folder):
    student = build(flow_folder, size=32)
    assert student.run(torch.rand(1, 3, 40, 40)).images.shape == (1, 3, 32, 32)
    assert student.run(torch.rand(1, 3, 20, 80)).images.shape == (1, 3, 16, 64)


def test_missing_edges_come_from_a_teacher_on_the_same_weights(flow_folder):
    options = {"timesteps": (0, 300, 600)}
    student = shake(build(flow_folder, teacher=options))
    images, samples = images_of(2), samples_of(2)
    teacher = TraceTeacher({"pretrained": flow_folder}, **options)
    expected = teacher.predict(images)
    for sample, found in zip(samples, expected, strict=True):
        sample.pseudo_edges = found.token_edges
    cached = student(images, samples, mode="loss")
    asked = student(images, [EdgeDataSample(), EdgeDataSample()], mode="loss")
    assert torch.equal(asked["loss_edge"], cached["loss_edge"])
    # No second copy: neither in memory nor among the parameters.
    shared = student._teacher[0].backbone
    assert shared is student.backbone
    assert not any("teacher" in name for name, _ in student.named_parameters())
    total(asked).backward()
    assert all(p.grad is not None for p in trained_parameters(student).values())


def test_missing_edges_without_a_teacher_name_the_image(student):
    named = [EdgeDataSample(metainfo={"img_path": "cats/7.jpg"})]
    with pytest.raises(ValueError, match=r"image cats/7\.jpg has no pseudo-edges"):
        student(images_of(1), named, mode="loss")
    with pytest.raises(ValueError, match="image 0 of the batch has no pseudo-edges"):
        student(images_of(1), mode="loss")


def test_a_student_can_be_the_teacher(flow_folder, tmp_path):
    first = shake(build(flow_folder))
    file = save_student(first, tmp_path / "first.safetensors")
    config = {
        "type": "TraceStudent",
        "backbone": {"pretrained": str(flow_folder)},
        "decoder": DECODER,
        "lora": {"rank": 2},
        "checkpoint": str(file),
    }
    second = build(flow_folder, teacher=config)
    samples = samples_of(1)
    samples[0].pseudo_edges = first.predict(images_of(1))[0].pred_edges
    expected = second(images_of(1), samples, mode="loss")
    found = second(images_of(1), mode="loss")
    assert torch.equal(found["loss_edge"], expected["loss_edge"])
    assert set(second.state_dict()) == set(first.state_dict())
    assert not any(p.requires_grad for p in second._teacher[0].parameters())


def test_without_lora_only_the_decoder_is_trained(flow_folder):
    student = build(flow_folder, lora=None, reconstruction=None)
    assert all(name.startswith("decoder.") for name in trained_parameters(student))
    loss_of(student, images_of(1), samples_of(1)).backward()


def test_it_is_registered_and_copied(flow_folder, student):
    config = {
        "type": "TraceStudent",
        "backbone": {"pretrained": str(flow_folder)},
        "decoder": DECODER,
    }
    assert isinstance(MODELS.build(config), TraceStudent)
    copied = copy.deepcopy(student)
    image = images_of(1)
    assert torch.equal(copied.predict(image)[0].pred_edges, student.predict(image)[0].pred_edges)
    with torch.no_grad():
        copied.decoder.mix.weight.zero_()
    assert student.decoder.mix.weight.abs().sum() > 0


def test_nonsense_is_refused(student, flow_folder):
    for options, message in (
        ({"reconstruction": "words"}, "reconstruction must be one of output, latent, pixel, None"),
        ({"pseudo_label": "sigma"}, "pseudo_label must be one of mu_sigma, "),
        ({"label_grid": "latent"}, "label_grid must be one of image, token"),
        ({"dice_smoothing": -1.0}, "dice_smoothing must be at least 0"),
        ({"preset": "ours"}, "preset must be 'paper' or None"),
        ({"timestep": 1000}, r"timestep must be in \[0, 1000\)"),
    ):
        with pytest.raises(ValueError, match=message):
            build(flow_folder, **options)
    with pytest.raises(ValueError, match="mode must be 'loss', 'predict' or 'tensor'"):
        student(images_of(1), mode="guess")
    with pytest.raises(ValueError, match="all images of a batch must have one size"):
        student([*images_of(1), *images_of(1, (8, 8))], samples_of(2), mode="loss")
    with pytest.raises(ValueError, match=r"pseudo-edges of image 0 of the batch are \(8, 24\)"):
        student(images_of(1), samples_of(1, (8, 24)), mode="loss")
    with pytest.raises(ValueError, match=r"pseudo-edges of image 1 of the batch are \(8, 8\)"):
        student(images_of(2), [*samples_of(1), *samples_of(1, (8, 8))], mode="loss")
    with pytest.raises(ValueError, match=r"images must be \(3, H, W\)"):
        student.predict([torch.rand(1, 8, 8)])


def test_tiles_are_predicted_like_images(flow_folder):
    (image,) = images_of(1, (16, 40))
    tiled = build(flow_folder, tile=16).predict([image])[0].pred_edges
    assert tiled.shape == (16, 40) and 0 <= tiled.min() <= tiled.max() <= 1
    first = build(flow_folder).predict([image[:, :, :16]])[0].pred_edges
    torch.testing.assert_close(tiled[:, :10], first[:, :10])  # no other tile reaches these columns
    whole = build(flow_folder, tile=40).predict([image])[0].pred_edges
    assert torch.equal(whole, build(flow_folder).predict([image])[0].pred_edges)


def test_edges_at_the_decoders_resolution(student):
    """They can be cached for a next student; larger than the image they would be of no use."""
    image = images_of(1)[0]
    (found,) = student.predict([image])
    logits = student.read(image[None])
    torch.testing.assert_close(found.token_edges, logits.detach().sigmoid()[0, 0])
    assert found.pred_edges.shape == image.shape[1:]
    assert "token_edges" not in student.predict([image[:, :2, :2]])[0]
