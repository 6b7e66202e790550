"""The workspace of the attention numerics stays small beside the attention itself."""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trace_mm.ops import (
    DIVERGENCES,
    AttentionFusion,
    attention_boundary_divergence,
    mean_row_divergence,
)
from trace_mm.ops.boundary import CHUNK_ELEMENTS as BOUNDARY_CHUNK
from trace_mm.ops.emergence import CHUNK_ELEMENTS as EMERGENCE_CHUNK


class Allocations(TorchDispatchMode):
    """Entry counts of all tensors that get memory of their own while it is active."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes = [0]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {_address(leaf) for leaf in tree_leaves((args, kwargs)) if _is_tensor(leaf)}
        result = func(*args, **(kwargs or {}))
        made = (leaf for leaf in tree_leaves(result) if _is_tensor(leaf))
        self.sizes += [leaf.numel() for leaf in made if _address(leaf) not in given]
        return result


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, torch.Tensor)


def _address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _uniform(tokens: int) -> torch.Tensor:
    return torch.full((1, tokens, tokens), 1 / tokens)


@pytest.mark.parametrize("kind", DIVERGENCES)
@pytest.mark.parametrize("grid", [(40, 40), (100, 16), (16, 100), (1, 1600), (1600, 1)])
def test_boundary_divergence(kind, grid):
    attention = _uniform(1600)
    with Allocations() as allocations:
        attention_boundary_divergence(attention, grid, kind, neighbors=8)
    halo = 2 * min(grid) * 1600
    assert 0 < max(allocations.sizes) <= BOUNDARY_CHUNK + halo < attention.numel()


@pytest.mark.parametrize("kind", DIVERGENCES)
def test_emergence_score(kind):
    attention = _uniform(1600)
    with Allocations() as allocations:
        mean_row_divergence(attention, attention, kind)
    assert 0 < max(allocations.sizes) <= EMERGENCE_CHUNK < attention.numel()


def test_fusion_holds_one_map():
    fusion = AttentionFusion((32, 32))
    maps = [(_uniform(1024), (32, 32)), (_uniform(256), (16, 16)), (_uniform(340), (20, 17))] * 2
    with Allocations() as allocations:
        for attention, grid in maps:
            fusion.add(attention, grid)
        fused = fusion.result()
    largest, second = sorted(allocations.sizes)[:-3:-1]
    assert largest == fused.numel() == 1024**2
    assert second <= 32 * 1024  # one row of the grid
