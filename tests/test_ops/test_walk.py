"""A walk over attention against loops that follow every path, in float64."""

from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mm.ops import walk_attention


def random_attention(seed, tokens, batch=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.softmax(2 * torch.randn(batch, tokens, tokens, generator=generator), -1)


def oracle(attention, steps):
    """Sum over all paths of the product of the probabilities of their steps."""
    tokens = len(attention)
    reached = torch.zeros(tokens, tokens, dtype=torch.float64)
    for path in product(range(tokens), repeat=steps + 1):
        chance = 1.0
        for here, there in pairwise(path):
            chance *= float(attention[here, there])
        reached[path[0], path[-1]] += chance
    return reached


@pytest.mark.parametrize(("tokens", "steps"), [(4, 1), (4, 2), (4, 3), (3, 5), (2, 8)])
def test_matches_the_sum_over_paths(tokens, steps):
    attention = random_attention(steps, tokens, batch=2)
    walked = walk_attention(attention, steps)
    expected = torch.stack([oracle(one, steps) for one in attention])
    torch.testing.assert_close(walked.double(), expected, atol=1e-6, rtol=1e-5)


def test_one_step_is_the_attention():
    attention = random_attention(0, 6)
    assert torch.equal(walk_attention(attention, 1), attention)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 20), st.integers(1, 40))
def test_rows_keep_their_sum(seed, tokens, steps):
    walked = walk_attention(random_attention(seed, tokens), steps)
    assert walked.min() >= 0
    torch.testing.assert_close(walked.sum(-1), torch.ones(1, tokens))


def test_a_walk_mixes_an_object_and_does_not_leave_it():
    """Two colours in one object, tokens 0 to 3, and a separate object, tokens 4 and 5."""
    attention = torch.zeros(1, 6, 6)
    attention[0, :2, :2], attention[0, 2:4, 2:4] = 0.4, 0.4  # a colour attends to itself
    attention[0, :2, 2:4], attention[0, 2:4, :2] = 0.1, 0.1  # and a little to the other
    attention[0, 4:, 4:] = 0.5
    walked = walk_attention(attention, 16)
    torch.testing.assert_close(walked[0, :4, :4], torch.full((4, 4), 0.25), atol=1e-3, rtol=0)
    assert (walked[0, :4, 4:] == 0).all() and (walked[0, 4:, :4] == 0).all()


def test_gradients_flow():
    attention = random_attention(0, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: walk_attention(x, 3), attention)


def test_half_precision_is_computed_in_single():
    walked = walk_attention(random_attention(0, 4).half(), 4)
    assert walked.dtype == torch.float32


@pytest.mark.parametrize(
    ("shape", "steps", "message"),
    [((3, 3), 2, "must be"), ((1, 3, 4), 2, "must be"), ((1, 3, 3), 0, "at least 1 step")],
)
def test_bad_arguments_are_named(shape, steps, message):
    with pytest.raises(ValueError, match=message):
        walk_attention(torch.ones(shape), steps)
