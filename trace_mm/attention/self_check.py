"""Whether the fused kernel can be trusted on a GPU: tried once on a small problem.

What a compiler makes of the kernel depends on the GPU, the driver and the version of Triton, none
of which can be known beforehand. So before a device, a dtype and a width of heads are used for the
first time in a process, both routes compute one small map. If they differ, or the kernel cannot be
compiled or launched, that device computes all maps by the chunked route from then on.
"""

import warnings

import torch
from torch import Tensor

from trace_mm.attention.chunked import chunked_attention_map
from trace_mm.attention.fused import fused_attention_map, fused_is_available, tile_options

_SHAPE = (2, 2, 150)
"""Images, heads and tokens of the problem: several tiles, the last of them not full."""
_RELATIVE, _ABSOLUTE = 1e-2, 1e-5
"""How far entries, of 1 / 150 on average, may be apart: more than float32 matrix products in
TF32 make, and far less than a wrong tile, mask or stride."""

_passed: set[tuple[torch.device, torch.dtype, int]] = set()
_failed: set[torch.device] = set()


def fused_is_trusted(query: Tensor) -> bool:
    """Whether the fused kernel can run for such a query and computes what the chunked route does.

    Warns, once a device, if it cannot compute it though it should.

    Args:
        query: (B, heads, n, dim).

    Raises:
        torch.OutOfMemoryError: if the device has no memory left for the small problem.
    """
    if not fused_is_available(query):
        return False
    device = query.device
    if device in _failed:
        return False
    # Kernels are compiled for a dtype and a width: what holds for one need not hold for another.
    kind = device, query.dtype, tile_options(query.dtype, query.shape[-1])["DIM_BLOCK"]
    if kind not in _passed:
        fault = _find_fault(query)
        if fault is not None:
            _failed.add(device)
            warnings.warn(
                f"the fused attention kernel is not used on {device}: {fault}. Maps are computed "
                "by the chunked route, which is slower",
                RuntimeWarning,
                stacklevel=2,
            )
            return False
        _passed.add(kind)
    return True


@torch.no_grad()
def _find_fault(query: Tensor) -> str | None:
    """What is wrong with the kernel for queries like this one; None if nothing is."""
    images, heads, tokens = _SHAPE
    dim = query.shape[-1]
    numbers = torch.Generator().manual_seed(0)  # the global one must stay as it is
    joint = torch.randn(2, images, tokens, heads, dim, generator=numbers, device="cpu")
    small, keys = joint.to(query.device, query.dtype).transpose(2, 3)  # views, as models have them
    scale = dim**-0.5
    expected = chunked_attention_map(small, keys, scale)
    try:
        found = fused_attention_map(small, keys, scale)
        twice = fused_attention_map(small, keys, scale, found.clone())
        pairs = (found, expected), (twice, 2 * expected)
        # Read here, since what goes wrong on a GPU is told when one waits for it.
        same = [torch.allclose(*pair, rtol=_RELATIVE, atol=_ABSOLUTE) for pair in pairs]
        difference = float((found - expected).abs().max())
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # of the compiler: of any kind
        lines = str(error).strip().splitlines()
        return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__
    if all(same):
        return None
    return (
        f"for {query.dtype} and heads of {dim} its map differs from the chunked route's, by up to "
        f"{difference:.1e} where entries are {1 / tokens:.1e} on average"
    )
