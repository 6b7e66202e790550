import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from trace_mm.attention import self_attention_map
from trace_mm.attention.fused import fused_attention_map, fused_is_available, tile_options

ROOT = Path(__file__).parents[2]


def test_it_equals_the_chunked_route():
    """All of tests/fused_attention_cases.py: on a GPU, or else in Triton's interpreter."""
    pytest.importorskip("triton")
    environment = dict(os.environ)
    if not torch.cuda.is_available():
        environment["TRITON_INTERPRET"] = "1"
    command = ["pytest", "--noconftest", "-q", "--tb=short", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [sys.executable, "-m", *command, "tests/fused_attention_cases.py"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout and "skipped" not in ran.stdout


@pytest.mark.parametrize(
    ("dtype", "dim", "capability"),
    [(torch.bfloat16, 64, 80), (torch.bfloat16, 256, 80), (torch.float16, 128, 90)],
)
@pytest.mark.parametrize("name", ["log_sum_exp_kernel", "mean_map_kernel"])
def test_kernels_compile_for_gpus(name, dtype, dim, capability, tmp_path, monkeypatch):
    """The interpreter takes what the compiler refuses. Needs no GPU."""
    triton = pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from trace_mm.attention import triton_kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = getattr(triton_kernels, name)
    constants = {**tile_options(dtype, dim), "HEADS": 8, "KEY_TILES": 32, "ADD": True}
    options = {option: constants.pop(option) for option in ("num_warps", "num_stages")}
    half = {torch.bfloat16: "*bf16", torch.float16: "*fp16"}[dtype]
    kinds = {"query": half, "key": half, "result": "*fp32", "log_sum_exp": "*fp32", "scale": "fp32"}
    signature = {
        argument: "constexpr" if argument in constants else kinds.get(argument, "i32")
        for argument in kernel.arg_names
    }
    constants = {argument: value for argument, value in constants.items() if argument in signature}
    compiled = triton.compile(
        ASTSource(kernel, signature, constants),
        target=GPUTarget("cuda", capability, 32),
        options=options,
    )
    available = {80: 99, 90: 227}[capability]  # KiB of the smallest GPU that runs such code
    assert 0 < compiled.metadata.shared <= available * 1024
    assert any(product in compiled.asm["ptx"] for product in ("mma.sync", "wgmma"))  # tensor cores


def test_it_is_refused_where_it_cannot_run(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    query = torch.zeros(1, 1, 4, 16)
    assert not fused_is_available(query)
    with pytest.raises(ValueError, match="needs Triton"):
        self_attention_map(query, query, route="fused")


@pytest.mark.parametrize(("dim", "dtype"), [(257, torch.float32), (16, torch.float64)])
def test_unsupported_queries_are_refused(dim, dtype, monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    query = torch.zeros(1, 1, 4, dim, dtype=dtype)
    assert not fused_is_available(query)
    with pytest.raises(ValueError, match=f"heads of {dim}"):
        fused_attention_map(query, query, 1.0)


def test_gradients_are_refused():
    query = torch.zeros(1, 1, 4, 16, requires_grad=True)
    with pytest.raises(ValueError, match="has no gradients"):
        self_attention_map(query, query, route="fused")


def test_unknown_routes_are_refused():
    query = torch.zeros(1, 1, 4, 16)
    with pytest.raises(ValueError, match="route must be one of auto, chunked, fused, got 'flash'"):
        self_attention_map(query, query, route="flash")
