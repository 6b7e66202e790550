"""The masked Dice loss against loops over Eq. 10, and what holds for any labels."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mm.ops import masked_dice_loss

seeds = st.integers(0, 2**31)
sizes = st.tuples(st.integers(1, 3), st.just(1), st.integers(1, 6), st.integers(1, 6))


def random_maps(seed, size, labels=(-1, 0, 1)):
    generator = torch.Generator().manual_seed(seed)
    prediction = torch.rand(size, generator=generator)
    choice = torch.randint(len(labels), size, generator=generator)
    return prediction, torch.tensor(labels, dtype=torch.int8)[choice]


def oracle(prediction, target, smoothing):
    """Eq. 10 of one image, pixel by pixel in float64, with the smoothing in both sums."""
    overlap = edges = predicted = 0.0
    for p, e in zip(prediction.flatten().tolist(), target.flatten().tolist(), strict=True):
        if e != -1:
            overlap += e * p
            edges += e**2
            predicted += p**2
    if edges + predicted + smoothing == 0:  # where Eq. 10 is not defined
        return 0.0
    return 1 - (2 * overlap + smoothing) / (edges + predicted + smoothing)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, size=sizes, smoothing=st.sampled_from([0.0, 1e-6, 1e-3, 1.0]))
def test_matches_the_oracle(seed, size, smoothing):
    prediction, target = random_maps(seed, size)
    losses = masked_dice_loss(prediction, target, smoothing)
    assert losses.shape == (size[0],)
    assert losses.dtype == torch.float32
    for image, labels, loss in zip(prediction, target, losses, strict=True):
        assert loss.item() == pytest.approx(oracle(image, labels, smoothing), abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, size=sizes)
def test_lies_between_zero_and_one(seed, size):
    losses = masked_dice_loss(*random_maps(seed, size))
    assert ((losses >= 0) & (losses <= 1)).all()


@settings(max_examples=60, deadline=None)
@given(seed=seeds, size=sizes)
def test_a_perfect_prediction_costs_nothing(seed, size):
    prediction, target = random_maps(seed, size)
    binary = torch.where(target == -1, prediction, target.float())
    assert (masked_dice_loss(binary, target) == 0).all()
    soft = torch.where(target == -1, -1.0, prediction)
    torch.testing.assert_close(masked_dice_loss(prediction, soft), torch.zeros(size[0]))


@settings(max_examples=60, deadline=None)
@given(seed=seeds, size=sizes, other=seeds)
def test_uncertain_pixels_change_nothing(seed, size, other):
    prediction, target = random_maps(seed, size)
    changed = torch.where(target == -1, random_maps(other, size)[0], prediction)
    assert torch.equal(masked_dice_loss(changed, target), masked_dice_loss(prediction, target))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_uncertain_pixels_get_no_gradient_even_where_the_prediction_is_broken(value):
    prediction = torch.tensor([0.2, 0.7, value]).view(1, 1, 1, 3).requires_grad_()
    loss = masked_dice_loss(prediction, torch.tensor([0, 1, -1]).view(1, 1, 1, 3))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert prediction.grad is not None
    gradient = prediction.grad.flatten()
    assert gradient[0] > 0 > gradient[1]
    assert gradient[2] == 0


@pytest.mark.parametrize("smoothing", [0.0, 1e-6])
def test_nothing_certain_costs_nothing_and_teaches_nothing(smoothing):
    prediction = torch.rand(2, 1, 3, 4).requires_grad_()
    target = torch.full((2, 1, 3, 4), -1, dtype=torch.int8)
    loss = masked_dice_loss(prediction, target, smoothing)
    loss.sum().backward()
    assert torch.equal(loss, torch.zeros(2))
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))


def test_without_an_edge_only_an_empty_prediction_is_right():
    target = torch.zeros(1, 1, 3, 4)
    assert masked_dice_loss(torch.zeros(1, 1, 3, 4), target) == 0
    assert masked_dice_loss(torch.full((1, 1, 3, 4), 0.1), target) > 0.99
    prediction = torch.full((1, 1, 3, 4), 0.1).requires_grad_()
    loss = masked_dice_loss(prediction, target, smoothing=1.0)
    loss.sum().backward()
    assert loss.item() == pytest.approx(0.12 / 1.12)
    assert (prediction.grad > 0).all()


def test_images_do_not_mix():
    prediction, target = random_maps(0, (3, 1, 5, 4))
    together = masked_dice_loss(prediction, target)
    alone = [masked_dice_loss(prediction[i : i + 1], target[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_gradient_is_that_of_the_formula():
    prediction, target = random_maps(1, (2, 1, 3, 3))
    prediction = prediction.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: masked_dice_loss(p, target), prediction)


def test_half_precision_is_computed_in_single():
    prediction, target = random_maps(2, (1, 1, 64, 64))
    loss = masked_dice_loss(prediction.half(), target)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(masked_dice_loss(prediction, target).item(), abs=1e-3)


@pytest.mark.parametrize(
    ("prediction", "target", "options", "message"),
    [
        (torch.rand(1, 1, 3, 4), torch.zeros(1, 1, 4, 3), {}, r"\(1, 1, 3, 4\) and \(1, 1, 4, 3\)"),
        (torch.rand(3, 4), torch.zeros(3, 4), {}, r"\(B, 1, H, W\)"),
        (torch.rand(1, 2, 3, 4), torch.zeros(1, 2, 3, 4), {}, r"\(B, 1, H, W\)"),
        (torch.zeros(1, 1, 3, 4).int(), torch.zeros(1, 1, 3, 4), {}, "floating point"),
        (torch.rand(1, 1, 3, 4), torch.zeros(1, 1, 3, 4), {"smoothing": -1}, "smoothing must be"),
    ],
)
def test_bad_arguments_are_named(prediction, target, options, message):
    with pytest.raises(ValueError, match=message):
        masked_dice_loss(prediction, target, **options)
