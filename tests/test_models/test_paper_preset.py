"""The preset "paper", against Eq. 1, 2 and 10 and Alg. 1 to 3 written out in loops of numpy."""

import json
import shutil

import numpy as np
import pytest
import torch

from tests.explicit_attention import explicit_map
from tests.tiny_students import build, images_of, shake
from trace_mm.apis import TraceInferencer
from trace_mm.diffusion import content_seed, load_backbone, seeded_noise
from trace_mm.models import TraceTeacher
from trace_mm.structures import EdgeDataSample

NATIVE = (16, 16)  # of the tiny model: 8x8 tokens


@pytest.fixture
def opinionated_folder(flow_folder, tmp_path):
    """A model whose folder recommends other options than the paper's."""
    folder = shutil.copytree(flow_folder, tmp_path / "model")
    recommended = {"layers": "mid_block", "timesteps": [0, 100, 200], "size": 24, "region_cell": 2}
    (folder / "trace.json").write_text(json.dumps({**recommended, "walk_steps": 2}))
    return folder


def kl(p, q):
    return float(sum(a * (np.log(a) - np.log(b)) for a, b in zip(p, q, strict=True) if a > 0))


def attention_at(backbone, image, timestep):
    """SA(X_t) of Eq. 8 from the explicit attention of all layers, (N, N) float64."""
    latents = backbone.encode(image[None])
    noise = seeded_noise(content_seed(0, image), tuple(latents.shape), 1)[0]
    noisy = (1 - timestep / 1000) * latents + timestep / 1000 * noise
    return explicit_map(backbone, noisy, timestep)[0].double().numpy()


def emergence_point(backbone, image):
    """Alg. 1: t*, the map there, and the divergence by timestep."""
    gap, chosen, gaps = 0.0, (None, None), {}
    before = attention_at(backbone, image, 0)
    for timestep in range(100, 1000, 100):
        now = attention_at(backbone, image, timestep)
        gaps[timestep] = np.mean([kl(p, q) for p, q in zip(before, now, strict=True)])
        if gap < gaps[timestep]:
            gap, chosen = gaps[timestep], (timestep, now)
        before = now
    return *chosen, gaps


def abdiv(attention, height, width):
    """Alg. 2, lines 1 to 4: Eq. 2 of every token; a neighbour outside is the token itself."""
    rows = attention.reshape(height, width, -1)
    strength = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            below, above = rows[min(i + 1, height - 1), j], rows[max(i - 1, 0), j]
            right, left = rows[i, min(j + 1, width - 1)], rows[i, max(j - 1, 0)]
            strength[i, j] = kl(below, above) + kl(right, left)
    return strength


def ternary(strength):
    """Alg. 2, lines 5 to 8."""
    mu, sigma = strength.mean(), strength.std()
    labels = np.full(strength.shape, -1)
    for place, value in np.ndenumerate(strength):
        if value > mu + sigma:
            labels[place] = 1
        elif value < mu - sigma:
            labels[place] = 0
    return labels


def dice_loss(labels, edges):
    """Eq. 10."""
    overlap = squares = 0.0
    for label, edge in zip(labels.ravel(), edges.ravel(), strict=True):
        weight = float(label != -1)
        overlap += weight * label * edge
        squares += weight * (label**2 + edge**2)
    return 1 - 2 * overlap / squares


@torch.no_grad()
def test_the_teacher_follows_algorithms_1_and_2_whatever_a_folder_recommends(opinionated_folder):
    (image,) = images_of(1, NATIVE, seed=5)
    timestep, attention, gaps = emergence_point(load_backbone(opinionated_folder), image)
    strength = abdiv(attention, 8, 8)
    teacher = TraceTeacher({"pretrained": str(opinionated_folder)}, preset="paper")
    found = teacher.predict([image])[0]
    assert found.timestep == timestep
    assert list(found.scores) == list(range(100, 1000, 100))
    np.testing.assert_allclose(list(found.scores.values()), list(gaps.values()), rtol=1e-3)
    expected = strength / strength.max()
    np.testing.assert_allclose(found.token_edges.numpy(), expected, rtol=1e-2, atol=1e-3)
    ours = TraceTeacher({"pretrained": str(opinionated_folder)}).predict([image])[0]
    assert len(ours.scores) == 2 and ours.token_edges.shape != found.token_edges.shape


def test_the_inferencer_takes_it_and_its_settings_say_so(opinionated_folder):
    options = {"method": "teacher", "device": "cpu", "show_progress": False}
    paper, ours = (
        TraceInferencer(str(opinionated_folder), model_options=chosen, **options)
        for chosen in ({"preset": "paper"}, None)
    )
    assert paper.model.timesteps == tuple(range(0, 1000, 100))
    assert len(paper.model.backbone.layers) > len(ours.model.backbone.layers) == 1
    assert paper.settings()["timesteps"] == list(range(0, 1000, 100))
    assert "backbone.layers" not in paper.settings() and ours.settings()["backbone.layers"]


def test_options_beside_a_preset_count(opinionated_folder):
    options = {"preset": "paper", "timesteps": (0, 300), "size": 32}
    teacher = TraceTeacher({"pretrained": str(opinionated_folder), "layers": "down"}, **options)
    assert (teacher.timesteps, teacher.size, teacher.region_cell) == ((0, 300), 32, 1)
    assert all("down" in layer.name for layer in teacher.backbone.layers)
    with pytest.raises(ValueError, match="preset must be 'paper' or None, got 'papers'"):
        TraceTeacher({"pretrained": str(opinionated_folder)}, preset="papers")


@pytest.mark.parametrize("folder", ["sd15_folder", "flow_folder"])
@torch.no_grad()
def test_the_students_loss_is_that_of_algorithm_3(folder, request):
    folder = request.getfixturevalue(folder)
    student = shake(build(folder, preset="paper"))
    images = images_of(2, NATIVE)
    rng = np.random.default_rng(0)
    maps = [rng.normal(1.0, 0.3, (8, 8)).clip(0, 2) for _ in images]
    samples = [EdgeDataSample() for _ in images]
    total = {"loss_edge": 0.0, "loss_reconstruction": 0.0}
    backbone = student.backbone
    for image, strength, sample in zip(images, maps, samples, strict=True):
        sample.pseudo_edges = torch.from_numpy(strength / strength.max())
        latents = backbone.encode(image[None])
        noise = seeded_noise(content_seed(0, image), tuple(latents.shape[1:]))[0][None]
        noise = noise.reshape(latents.shape)
        if folder == request.getfixturevalue("flow_folder"):
            output = backbone.denoise(latents, 0)  # alpha = 1, sigma = 0
            guess = -(output - noise)  # App. C.2 with the derivatives -1 and 1
            noisy = latents
        else:
            signal = 1 - 0.00085
            noisy = signal**0.5 * latents + (1 - signal) ** 0.5 * noise
            guess = (noisy - (1 - signal) ** 0.5 * backbone.denoise(noisy, 0)) / signal**0.5
        logits = student.decoder(backbone.attention(noisy, 0), (8, 8), latents)
        edges = torch.nn.functional.interpolate(logits, (8, 8), mode="bicubic", antialias=True)
        total["loss_edge"] += dice_loss(ternary(strength), edges.sigmoid()[0, 0].numpy()) / 2
        pixels = backbone.decode(guess)[0]
        total["loss_reconstruction"] += float((pixels - image).square().mean()) / 2
    losses = student(images, samples, mode="loss")
    assert student.timestep == 0
    for name, expected in total.items():
        assert losses[name].item() == pytest.approx(expected, rel=2e-3), name
    shares = [np.mean(ternary(strength) == 1) for strength in maps]
    np.testing.assert_allclose(losses["labels_edge"].numpy(), shares, atol=1e-6)
    chosen = build(folder, preset="paper", reconstruction=None, pseudo_label="mu", timestep=7)
    assert chosen.distillation.reconstruction is None and chosen.timestep == 7
    assert chosen.distillation.label_grid == "token" and chosen.distillation.pseudo_label == "mu"
