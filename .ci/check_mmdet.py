"""Checks an environment for Mask2Former: mmcv's operations run, and OpenCV is there once."""

import importlib.metadata

import torch
from mmcv.ops import MultiScaleDeformableAttention, nms

from trace_mm.mask2former import require_mmdet


def main() -> None:
    """Raises an AssertionError if something is wrong."""
    require_mmdet()
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
    _, kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)  # in C++
    assert kept.tolist() == [0, 2], kept
    attention = MultiScaleDeformableAttention(32, num_heads=4, num_levels=1, batch_first=True)
    tokens, points = torch.rand(1, 16, 32), torch.rand(1, 16, 1, 2)
    shapes, start = torch.tensor([[4, 4]]), torch.tensor([0])
    out = attention(
        tokens,
        value=tokens,
        reference_points=points,
        spatial_shapes=shapes,
        level_start_index=start,
    )
    assert out.shape == (1, 16, 32) and out.isfinite().all()
    names = sorted(
        {
            name
            for distribution in importlib.metadata.distributions()
            if (name := distribution.metadata["Name"].lower()).startswith("opencv")
        }
    )
    assert names == ["opencv-python-headless"], names
    print("mmcv's operations run;", *names)


if __name__ == "__main__":
    main()
