"""What the fused attention map must compute: run by test_attention/test_fused.py.

A process of its own runs them, since Triton's interpreter has to be chosen before anything imports
Triton, and diffusers does. On a machine with a GPU the kernels themselves run.
"""

import pytest
import torch
import triton.language as tl
from torch.utils._python_dispatch import TorchDispatchMode
from triton.runtime.interpreter import InterpreterBuilder

from trace_mm.attention import self_attention_map

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TOLERANCE = {torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 1e-3}


@pytest.fixture(autouse=True)
def _bfloat16_in_the_interpreter(monkeypatch):
    """The interpreter keeps bfloat16 as integers, and tl.dot would multiply those."""
    multiply = InterpreterBuilder.create_dot

    def create_dot(self, a, b, *rest):
        if a.dtype == tl.bfloat16:
            a, b = (self.cast_impl(operand, tl.float32) for operand in (a, b))
        return multiply(self, a, b, *rest)

    monkeypatch.setattr(InterpreterBuilder, "create_dot", create_dot)


def heads(batch, count, tokens, dim, dtype=torch.float32, spread=1.0):
    """Query and key (B, heads, n, dim) as models have them: a view of (B, n, heads * dim)."""
    torch.manual_seed(0)
    joint = torch.randn(2, batch, tokens, count * dim, device=DEVICE) * spread
    query, key = joint.to(dtype).unflatten(-1, (count, dim)).transpose(2, 3)
    return query, key


def assert_same(query, key, limit=None, **options):
    found = self_attention_map(query, key, route="fused", **options)
    expected = self_attention_map(query, key, route="chunked", **options)
    assert found.dtype == torch.float32 and found.shape == expected.shape
    limit = limit or TOLERANCE[query.dtype]
    torch.testing.assert_close(found, expected, atol=limit, rtol=limit)
    torch.testing.assert_close(found.sum(-1), torch.ones_like(found[..., 0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("dim", [8, 16, 40, 64, 72, 128, 160, 256])
def test_widths_of_heads(dim, dtype):
    assert_same(*heads(1, 2, 70, dim, dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tokens", [1, 31, 32, 128, 129, 257])
def test_numbers_of_tokens_and_a_batch(tokens, dtype):
    assert_same(*heads(3, 1, tokens, 16, dtype))


@pytest.mark.parametrize("image", [slice(5, None), slice(0, -7)])
def test_image_tokens_of_a_joint_sequence(image):
    query, key = (tensor[:, :, image] for tensor in heads(2, 3, 50, 40, torch.bfloat16))
    assert not query.is_contiguous()
    assert_same(query, key)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_large_logits_do_not_overflow(dtype):
    query, key = heads(1, 2, 40, 64, dtype, spread=20.0)
    assert (query @ key.mT / 8).max() > 1000  # exp(1000) is infinite
    assert_same(query, key, limit=1e-3)  # float32 has 1e-4 left of such a logit


def test_scale():
    assert_same(*heads(1, 2, 40, 16), scale=0.7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_maps_add_up_in_a_total(dtype):
    query, key = heads(2, 2, 140, 16, dtype)
    started = torch.rand(2, 140, 140, device=DEVICE)
    total = started.clone()
    found = self_attention_map(query, key, total=total, route="fused")
    assert found is total
    expected = started + self_attention_map(query, key, route="chunked")
    torch.testing.assert_close(total, expected, atol=1e-5, rtol=1e-5)


def test_a_total_that_is_part_of_a_larger_tensor():
    query, key = heads(2, 2, 40, 16)
    larger = torch.zeros(2, 50, 60, device=DEVICE)
    self_attention_map(query, key, total=larger[:, 3:43, 7:47], route="fused")
    expected = self_attention_map(query, key, route="chunked")
    torch.testing.assert_close(larger[:, 3:43, 7:47], expected)
    torch.testing.assert_close(larger.sum(), expected.sum())  # nothing beside it was written


def test_inputs_stay_as_they_are():
    query, key = heads(1, 2, 40, 16, torch.bfloat16)
    before = query.clone(), key.clone()
    self_attention_map(query, key, route="fused")
    assert torch.equal(query, before[0]) and torch.equal(key, before[1])


def test_memory_is_one_map_and_a_number_for_each_row():
    made = []

    class Allocations(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), options=None):
            result = function(*arguments, **(options or {}))
            if "empty" in str(function):
                made.append(result.numel())
            return result

    query, key = heads(2, 5, 60, 16, torch.bfloat16)
    with Allocations():
        self_attention_map(query, key, route="fused")
    assert [size for size in made if size > 2 * 5 * 60] == [2 * 60 * 60]


def test_autocast_changes_nothing():
    query, key = heads(1, 2, 40, 16)
    plain = self_attention_map(query, key, route="fused")
    with torch.autocast(DEVICE, torch.bfloat16):
        assert torch.equal(self_attention_map(query, key, route="fused"), plain)


def test_auto_takes_the_kernel_on_a_gpu_only():
    query, key = heads(1, 2, 40, 16)
    chosen = self_attention_map(query, key)
    route = "fused" if DEVICE == "cuda" else "chunked"
    assert torch.equal(chosen, self_attention_map(query, key, route=route))
