"""The fused kernel is tried before it is used; without a GPU, fakes stand in its place."""

import warnings

import pytest
import torch

from trace_mm.attention import maps, self_attention_map, self_check
from trace_mm.attention.chunked import chunked_attention_map


class OnGpu(torch.Tensor):
    """A tensor on the CPU that says it is on a GPU."""

    is_cuda = True


@pytest.fixture
def kernel(monkeypatch):
    """Puts a function in the kernel's place; gives the list of token counts it was called with."""
    monkeypatch.setattr(self_check, "_passed", set())
    monkeypatch.setattr(self_check, "_failed", set())
    monkeypatch.setattr(self_check, "fused_is_available", lambda query: True)

    def put(function):
        calls = []

        def counted(query, key, scale, total=None):
            calls.append(query.shape[2])
            return function(query, key, scale, total)

        monkeypatch.setattr(self_check, "fused_attention_map", counted)
        monkeypatch.setattr(maps, "fused_attention_map", counted)
        return calls

    return put


def right(query, key, scale, total):
    return chunked_attention_map(query, key, scale, total=total)


def heads(tokens=20, dim=16, dtype=torch.float32):
    torch.manual_seed(0)
    query, key = torch.randn(2, 1, 3, tokens, dim).to(dtype).unbind()
    return query.as_subclass(OnGpu), key.as_subclass(OnGpu)


def test_a_right_kernel_is_tried_once_and_used(kernel):
    calls = kernel(right)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            self_attention_map(*heads())
    assert calls == [150, 150, 20, 20, 20]


def test_each_dtype_and_width_is_tried(kernel):
    calls = kernel(right)
    for dim, dtype in ((16, torch.float32), (16, torch.bfloat16), (72, torch.bfloat16)):
        self_attention_map(*heads(20, dim, dtype))
    assert calls == [150, 150, 20] * 3
    self_attention_map(*heads(20, 65, torch.bfloat16))  # the same tiles as those of 72
    assert calls[9:] == [20]


def no_scale(query, key, scale, total):
    return right(query, key, 1.0, total)


def one_head(query, key, scale, total):
    return right(query[:, :1], key[:, :1], scale, total)


def last_tile_left_out(query, key, scale, total):
    found = right(query, key, scale, total)
    found[:, 128:] = 0
    return found


def not_numbers(query, key, scale, total):
    return right(query, key, scale, total) * float("nan")


def total_forgotten(query, key, scale, total):
    return right(query, key, scale, None)


def no_compiler(query, key, scale, total):
    raise RuntimeError("ptxas failed\nout of resource: shared memory")


def silent_error(query, key, scale, total):
    raise AssertionError


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (no_scale, "differs from the chunked route's"),
        (one_head, "differs"),
        (last_tile_left_out, "differs"),
        (not_numbers, "differs"),
        (total_forgotten, "differs"),
        (no_compiler, "RuntimeError: out of resource: shared memory"),
        (silent_error, "AssertionError"),
    ],
)
def test_a_broken_kernel_gives_one_warning_and_right_maps(kernel, broken, reason):
    calls = kernel(broken)
    query, key = heads()
    expected = self_attention_map(query, key, route="chunked")
    with pytest.warns(RuntimeWarning, match=f"not used on cpu: .*{reason}") as caught:
        found = self_attention_map(query, key)
    assert len(caught) == 1
    assert torch.equal(found, expected)
    tried = len(calls)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no second warning, whatever is asked
        assert torch.equal(self_attention_map(query, key), expected)
        self_attention_map(*heads(20, 72, torch.bfloat16))
    assert len(calls) == tried  # nor is the kernel tried again


def test_rounding_of_float32_products_is_no_fault(kernel):
    """Of GPUs whose matrix products round to 10 bits (TF32)."""

    def rounded(query, key, scale, total):
        bits = [(x.float().view(torch.int32) & ~0x1FFF).view(torch.float32) for x in (query, key)]
        return right(*bits, scale, total)

    calls = kernel(rounded)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        self_attention_map(*heads())
    assert calls[-1] == 20


def test_no_memory_is_no_fault_of_the_kernel(kernel):
    def full(query, key, scale, total):
        raise torch.OutOfMemoryError("no memory")

    kernel(full)
    with pytest.raises(torch.OutOfMemoryError):
        self_attention_map(*heads())
    calls = kernel(right)
    self_attention_map(*heads())
    assert calls == [150, 150, 20]


def test_random_numbers_of_others_stay_as_they_are(kernel):
    kernel(right)
    query, key = heads()
    state = torch.get_rng_state()
    self_attention_map(query, key)
    assert torch.equal(torch.get_rng_state(), state)


def test_what_is_asked_for_by_name_is_not_replaced(kernel):
    kernel(no_compiler)
    with pytest.raises(RuntimeError, match="ptxas failed"):
        self_attention_map(*heads(), route="fused")


def test_gradients_do_not_try_it(kernel):
    calls = kernel(right)
    query, key = heads()
    self_attention_map(query.requires_grad_(), key)
    assert calls == []
