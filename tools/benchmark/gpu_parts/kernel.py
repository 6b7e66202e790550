"""The fused attention kernel against the chunked route, on a GPU."""

import statistics
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from capture import layer_maps, measure
from measure import peak_memory
from torch import Tensor

from gpu_parts.part import (
    Part,
    SkipError,
    Step,
    Values,
    expect,
    expect_close,
    megabytes,
    milliseconds,
)
from trace_mm.attention import self_attention_map
from trace_mm.attention.fused import fused_is_available
from trace_mm.attention.self_check import fused_is_trusted

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
RELATIVE, ABSOLUTE = 2e-3, 1e-6
GRIDS = ((48, 80), (33, 47), (1, 96), (64, 64))


class KernelPart(Part):
    """Right for all dtypes, widths of heads, numbers of tokens, grids and devices; how fast.

    On a CPU, which has no kernel, the chunked route in other pieces stands in its stead.
    """

    name = "kernel"
    needs = "Triton and a GPU from Ampere on"
    seconds = 45.0

    def checks(self) -> list[Step]:
        """See :class:`Part`."""
        widths = (16, 40) if self.setting.tiny else (8, 16, 40, 64, 72, 80, 128, 160, 256)
        counts = (1, 33) if self.setting.tiny else (1, 31, 127, 128, 129, 1000, 4095, 4097)
        grids = ((6, 10), (3, 7)) if self.setting.tiny else GRIDS
        by_width = [(width, 70, dtype) for width in widths for dtype in DTYPES]
        by_count = [(64, count, dtype) for count in counts for dtype in DTYPES[:2]]
        by_grid = [(64, rows * columns, torch.bfloat16) for rows, columns in grids]
        return [
            Step("self-check of the product", self._self_check),
            Step("self-check with TF32 products", self._self_check_with_tf32),
            Step("dtypes and widths of heads", lambda: self._compare_all(by_width)),
            Step("ragged numbers of tokens", lambda: self._compare_all(by_count)),
            Step("non-square grids", lambda: self._compare_all(by_grid)),
            Step("image tokens of a joint sequence", self._compare_joint),
            Step("maps added to a total", self._compare_total),
            Step("several GPUs", self._compare_devices),
        ]

    def measures(self) -> list[Step]:
        """See :class:`Part`."""
        tokens, heads, layers, dim = (64, 3, 2, 16) if self.setting.tiny else (4096, 38, 38, 64)
        name = f"{tokens} tokens, {heads} heads of {dim}, {layers} layers"
        return [Step(name, lambda: self._measure(tokens, heads, layers, dim))]

    def _heads(
        self, tokens: int, dim: int, dtype: torch.dtype, device: torch.device | None = None
    ) -> tuple[Tensor, Tensor]:
        """Query and key (2, 3, n, dim) as models have them: views of (2, n, 3 * dim)."""
        joint = torch.randn(2, 2, tokens, 3, dim, device=device or self.device).to(dtype)
        query, key = joint.transpose(2, 3)
        return query, key

    def _fused(self, query: Tensor, key: Tensor, total: Tensor | None = None) -> Tensor:
        if self.device.type == "cpu":
            return self_attention_map(query, key, workspace=1, total=total, route="chunked")
        if not fused_is_available(query):
            raise SkipError("no Triton with a C compiler, or a GPU older than Ampere")
        return self_attention_map(query, key, total=total, route="fused")

    def _compare(self, query: Tensor, key: Tensor) -> float:
        wanted = self_attention_map(query, key, route="chunked")
        found: float = expect_close(self._fused(query, key), wanted, RELATIVE, ABSOLUTE)[
            "largest_difference"
        ]
        return found

    def _compare_all(self, cases: Iterable[tuple[int, int, torch.dtype]]) -> Values:
        differences = [
            self._compare(*self._heads(tokens, dim, dtype)) for dim, tokens, dtype in cases
        ]
        return {"cases": len(differences), "largest_difference": max(differences)}

    def _compare_joint(self) -> Values:
        query, key = self._heads(90, 64, torch.bfloat16)
        parts = (slice(13, None), slice(0, -13))  # text first, text last
        found = [self._compare(query[:, :, part], key[:, :, part]) for part in parts]
        return {"largest_difference": max(found)}

    def _compare_total(self) -> Values:
        query, key = self._heads(150, 40, torch.bfloat16)
        total = torch.rand(2, 150, 150, device=self.device)
        wanted = total + self_attention_map(query, key, route="chunked")
        expect(self._fused(query, key, total) is total, "the total was not added to in place")
        return expect_close(total, wanted, RELATIVE, ABSOLUTE)

    def _compare_devices(self) -> Values:
        if self.device.type == "cpu":
            others = [self.device]
        else:
            count = torch.cuda.device_count()
            others = [torch.device("cuda", index) for index in range(count)]
            if count < 2:
                raise SkipError("there is one GPU")
        found = [self._compare(*self._heads(150, 64, torch.bfloat16, other)) for other in others]
        return {"devices": len(found), "largest_difference": max(found)}

    def _self_check(self) -> Values:
        if self.device.type == "cpu":
            expect(not fused_is_trusted(torch.zeros(1, 1, 4, 16)), "a kernel on the CPU")
            return {"trusted": "no: a CPU has no kernel"}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            trusted = [
                fused_is_trusted(self._heads(4, dim, dtype)[0])
                for dim in (64, 128, 256)
                for dtype in DTYPES
            ]
        if not any(trusted):
            raise SkipError("no Triton with a C compiler, or a GPU older than Ampere")
        expect(all(trusted), "some dtypes or widths of heads are not trusted")
        return {"trusted": len(trusted)}

    def _self_check_with_tf32(self) -> Values:
        with _tf32():
            return self._self_check()

    def _measure(self, tokens: int, heads: int, layers: int, dim: int) -> Values:
        sum_of_layers = layer_maps(tokens, heads, layers, dim, self.device)
        # On a CPU, to see that it runs, the same route twice.
        routes = {"chunked": "chunked", "fused": "fused"}
        if self.device.type == "cpu":
            routes["fused"] = "chunked"
        steps: dict[str, Callable[[], object]] = {
            name: lambda route=route: sum_of_layers(route) for name, route in routes.items()
        }
        times, ratios = measure(steps, self.setting.rounds, self.device)
        found: Values = {}
        for name, work in steps.items():
            found[f"{name}_ms"] = milliseconds(statistics.median(times[name]))
            found[f"{name}_mib"] = megabytes(peak_memory(work, self.device))
        return {**found, "fused_to_chunked": round(statistics.median(ratios["fused"]), 3)}


@contextmanager
def _tf32() -> Iterator[None]:
    """Within this context, products of float32 matrices may be rounded to TF32."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
