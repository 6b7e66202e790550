"""Parts of the benchmark on a GPU (tools/benchmark/gpu.py): each has checks and measures."""

from gpu_parts.distillation import DistillationPart
from gpu_parts.kernel import KernelPart
from gpu_parts.libraries import LibrariesPart
from gpu_parts.operations import OperationsPart
from gpu_parts.part import Part, Setting
from gpu_parts.passes import MODELS, passes_of
from gpu_parts.ranks import RanksPart

PARTS: dict[str, type[Part]] = {
    part.name: part
    for part in (
        KernelPart,
        *(passes_of(model) for model in MODELS),
        DistillationPart,
        OperationsPart,
        RanksPart,
        LibrariesPart,
    )
}
"""All parts by name, in the order in which they run."""

__all__ = ["PARTS", "Part", "Setting"]
