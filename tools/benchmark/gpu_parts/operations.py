"""The numerics of refinement on the GPU against the CPU: same results, and how long they take."""

import statistics
from collections.abc import Callable

import torch
from capture import measure
from measure import peak_memory
from normalized_cut import object_features
from propagation import random_input
from torch import Tensor

from gpu_parts.part import (
    Part,
    Setting,
    Step,
    Values,
    expect,
    expect_close,
    megabytes,
    milliseconds,
)
from trace_mm.ops import (
    attention_boundary_divergence,
    mean_row_divergence,
    merge_groups,
    merge_masks,
    propagate_masks,
)
from trace_mm.ops.normalized_cut import normalized_cut, similar_patches

THRESHOLD = 0.5
BOUNDARY_TOLERANCE = 1e-4


class OperationsPart(Part):
    """Propagation, mask merging and normalised cut take one image at a time; maps a batch."""

    name = "operations"
    seconds = 30.0

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.side = 24 if setting.tiny else 128
        self.patches = 14 if setting.tiny else 60
        self.masks = 4 if setting.tiny else 20
        self.grid = (6, 8) if setting.tiny else (64, 64)

    def checks(self) -> list[Step]:
        """See :class:`Part`."""
        return [
            Step("propagation", self._check_propagation),
            Step("mask merging", self._check_merging),
            Step("normalised cut", self._check_cut),
            Step("boundary divergence of a batch", self._check_boundary),
            Step("mean row divergence", self._check_rows),
        ]

    def measures(self) -> list[Step]:
        """See :class:`Part`."""
        masks, edges = random_input(self.side, self.masks)
        features = object_features(self.patches, 6, 0.5, 0)
        works: dict[str, tuple[Callable[..., object], tuple[Tensor, ...]]] = {
            "propagation": (propagate_masks, (masks, edges)),
            "mask merging": (merge_masks, (masks,)),
            "normalised cut": (_cut, (features,)),
        }
        steps = [
            Step(f"{name} of an image", lambda w=work, i=inputs: self._compare_times(w, i))
            for name, (work, inputs) in works.items()
        ]
        batches = self.setting.batches
        for batch in batches:
            name = f"boundary divergence, batch {batch}"
            steps.append(Step(name, lambda b=batch: self._measure_boundary(b)))
        return steps

    def _check_propagation(self) -> Values:
        masks, edges = random_input(self.side, self.masks)
        moved = masks.to(self.device), edges.to(self.device)
        found = propagate_masks(*moved)
        expect(found.device.type == self.device.type, f"the result is on {found.device}")
        expect_close(found, propagate_masks(masks, edges), rtol=0, atol=1e-4)
        exact = propagate_masks(*moved, exact=True)
        return expect_close(exact, propagate_masks(masks, edges, exact=True), rtol=0, atol=1e-8)

    def _check_merging(self) -> Values:
        masks, _ = random_input(self.side, self.masks)
        masks = torch.cat([masks, masks.roll(1, -1), masks.roll(2, -2)])
        found, wanted = merge_groups(masks.to(self.device)), merge_groups(masks)
        expect(torch.equal(found.cpu(), wanted), "other masks are united")
        merged = merge_masks(masks.to(self.device))
        expect(torch.equal(merged.cpu(), merge_masks(masks)), "united masks differ")
        return {"masks": len(masks), "groups": len(merged)}

    def _check_cut(self) -> Values:
        found: Values = {}
        for noise in (0.5, 1.0):
            features = object_features(self.patches, 6, noise, 1)
            near = similar_patches(features.to(self.device), THRESHOLD)
            differing = int((near.cpu() != similar_patches(features, THRESHOLD)).sum())
            # A similarity may lie so close to the threshold that rounding decides.
            few = max(2, near.numel() // 100_000)
            expect(differing <= few, f"{differing} pairs of patches differ, allowed are {few}")
            cut, wanted = normalized_cut(near), normalized_cut(near.cpu())
            scale = float(wanted.eigenvector.abs().max())
            found |= expect_close(
                cut.eigenvector / scale, wanted.eigenvector / scale, rtol=0, atol=1e-3
            )
            found["pairs_differing"] = differing
        return found

    def _maps(self, batch: int) -> Tensor:
        """Random attention maps (B, N, N)."""
        count = self.grid[0] * self.grid[1]
        return torch.randn(batch, count, count).softmax(-1)

    def _check_boundary(self) -> Values:
        maps = self._maps(2)
        found = attention_boundary_divergence(maps.to(self.device), self.grid)
        wanted = attention_boundary_divergence(maps, self.grid)
        return expect_close(found, wanted, rtol=BOUNDARY_TOLERANCE, atol=BOUNDARY_TOLERANCE)

    def _check_rows(self) -> Values:
        first, second = self._maps(2), self._maps(2)
        found = mean_row_divergence(first.to(self.device), second.to(self.device))
        wanted = mean_row_divergence(first, second)
        return expect_close(
            torch.tensor(found),
            torch.tensor(wanted),
            rtol=BOUNDARY_TOLERANCE,
            atol=BOUNDARY_TOLERANCE,
        )

    def _compare_times(self, work: Callable[..., object], inputs: tuple[Tensor, ...]) -> Values:
        moved = [tensor.to(self.device) for tensor in inputs]
        steps: dict[str, Callable[[], object]] = {
            "cpu": lambda: work(*inputs),
            "device": lambda: work(*moved),
        }
        times, ratios = measure(steps, self.setting.rounds, self.device)
        cpu, own = times.values()
        return {
            "cpu_ms": milliseconds(statistics.median(cpu)),
            "device_ms": milliseconds(statistics.median(own)),
            "ratio": round(statistics.median(ratios["device"]), 3),
            "device_mib": megabytes(peak_memory(steps["device"], self.device)),
            "batched": "no: one image at a time",
        }

    def _measure_boundary(self, batch: int) -> Values:
        maps = self._maps(1).to(self.device).expand(batch, -1, -1).contiguous()

        def work() -> Tensor:
            return attention_boundary_divergence(maps, self.grid)

        times, _ = measure({"batch": work}, self.setting.rounds, self.device)
        return {
            "image_ms": milliseconds(statistics.median(times["batch"]) / batch),
            "mib": megabytes(peak_memory(work, self.device)),
        }


def _cut(features: Tensor) -> Tensor:
    return normalized_cut(similar_patches(features, THRESHOLD)).eigenvector
