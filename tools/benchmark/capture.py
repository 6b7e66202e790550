"""Cost of reading attention out of a denoiser, in one process on one image.

Compared are the denoiser alone; our capture, which adds maps up layer by layer; and what research
code usually does: an attention processor computes the probabilities of every layer and head, all
are kept, and then averaged over heads, enlarged to the finest grid and averaged over layers. All
run in turn, so that each round gives one ratio of each; printed are medians and quartiles. Memory
is the most that was allocated at a time during one call, beside the weights.

With --teacher, the search over ten timesteps is compared with ten passes of the denoiser. With
--whole-pass nothing is compared: time and the process's peak memory of edges of one image. With
--kernel, the fused kernel is compared with the chunked route on a GPU.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor
from measure import peak_memory, seconds, spread
from published_configs import ARCHITECTURES
from torch import Tensor
from torch.nn import functional

from trace_mm.attention import self_attention_map
from trace_mm.attention.fused import fused_is_available
from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets.scenes import render_scene
from trace_mm.diffusion import DiffusionBackbone, load_backbone
from trace_mm.models import TraceTeacher

TIMESTEP = 100
MEMORY_LIMIT, TEACHER_LIMIT = 1 / 10, 1.5
"""Of the usual approach's memory, and of ten passes of the denoiser."""


def usual_capture(backbone: DiffusionBackbone, noisy: Tensor) -> Tensor:
    """The fused map (B, N, N) from the kept probabilities of all layers and heads."""
    denoiser, batch = backbone.denoiser, noisy.shape[0]
    kept: dict[str, Tensor] = {}
    before = denoiser.attn_processors
    denoiser.set_attn_processor(AttnProcessor())  # the one with an explicit softmax
    for layer in backbone.layers:
        layer.module.get_attention_scores = keep_scores(layer.module, layer.name, kept)
    try:
        backbone.denoise(noisy, TIMESTEP)
    finally:
        denoiser.set_attn_processor(before)
        for layer in backbone.layers:
            del layer.module.get_attention_scores
    grid = backbone.grid(noisy)
    total = torch.zeros(())
    for layer in backbone.layers:
        scores = kept[layer.name].unflatten(0, (batch, -1)).float().mean(1)  # (B, n, n)
        coarse = noisy.shape[2] // layer.stride, noisy.shape[3] // layer.stride
        total = total + enlarge(scores, coarse, grid)
    return total / len(backbone.layers)


def keep_scores(module: Attention, name: str, kept: dict[str, Tensor]) -> Callable[..., Tensor]:
    """The layer's own computation of probabilities, whose result (B * heads, n, n) is kept."""
    compute = Attention.get_attention_scores

    def scores(*arguments: Tensor, **options: Tensor) -> Tensor:
        kept[name] = compute(module, *arguments, **options)
        return kept[name]

    return scores


def enlarge(attention: Tensor, coarse: tuple[int, int], fine: tuple[int, int]) -> Tensor:
    """A map (B, n, n) on a finer grid, (B, N, N): both axes repeated, keys shared out."""
    ratio = fine[0] // coarse[0]
    if ratio == 1:
        return attention
    keys = functional.interpolate(attention.unflatten(2, coarse) / ratio**2, fine)  # (B, n, H, W)
    queries = keys.flatten(2).unflatten(1, coarse)  # (B, h, w, N)
    return queries.repeat_interleave(ratio, 1).repeat_interleave(ratio, 2).flatten(1, 2)


def usual_bytes(backbone: DiffusionBackbone, noisy: Tensor) -> int:
    """What the kept probabilities alone take."""
    size = noisy.shape[2] * noisy.shape[3]
    entries = sum(layer.module.heads * (size // layer.stride**2) ** 2 for layer in backbone.layers)
    return entries * noisy.shape[0] * torch.finfo(backbone.denoiser.dtype).bits // 8


def free_bytes(device: torch.device) -> int:
    """Memory that is free now."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def compare(backbone: DiffusionBackbone, noisy: Tensor, rounds: int) -> None:
    """Prints time and memory of the three, and whether ours keeps to its limits."""
    steps: dict[str, Callable[[], object]] = {
        "denoiser alone": lambda: backbone.denoise(noisy, TIMESTEP),
        "attention": lambda: backbone.attention(noisy, TIMESTEP),
        "output and attention": lambda: backbone.denoise_and_attend(noisy, TIMESTEP),
        "usual approach": lambda: usual_capture(backbone, noisy),
    }
    needed, free = usual_bytes(backbone, noisy) * 2, free_bytes(noisy.device)
    if not isinstance(backbone.layers[0].module, Attention) or needed > free:
        reason = f"it needs about {needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free"
        if needed <= free:
            reason = "text and image attend together, which its processor does not know"
        print(f"the usual approach is left out: {reason}")
        del steps["usual approach"]
    else:
        difference = usual_capture(backbone, noisy) - backbone.attention(noisy, TIMESTEP)
        print(f"largest difference between the two maps: {difference.abs().max():.1e}")
        del difference
    times, ratios = measure(steps, rounds, noisy.device)
    memory = {name: peak_memory(work, noisy.device) for name, work in steps.items()}
    for name in steps:
        print(
            f"{name:24} {statistics.median(times[name]):8.2f} s  {spread(ratios[name])} passes  "
            f"{memory[name] / 2**20:8.1f} MiB"
        )
    if "usual approach" in steps:
        extra = {name: memory[name] - memory["denoiser alone"] for name in steps}
        share = extra["attention"] / extra["usual approach"]
        whole = memory["attention"] / memory["usual approach"]
        pairs = zip(times["attention"], times["usual approach"], strict=True)
        faster = statistics.median(own / other for own, other in pairs)
        print(f"memory: {whole:.3f} of the usual approach's, {share:.3f} beyond the denoiser alone")
        print(f"  {'within' if whole <= MEMORY_LIMIT else 'above'} the limit of {MEMORY_LIMIT}")
        print(f"time: {faster:.2f} of the usual approach's")


def compare_teacher(
    backbone: DiffusionBackbone, image: Tensor, batches: list[int], rounds: int
) -> None:
    """Prints the cost of the search in passes of the denoiser, for numbers of timesteps a pass."""
    teachers = [
        TraceTeacher((backbone, {}), timestep_batch=batch, size=image.shape[1]) for batch in batches
    ]
    noisy = backbone.encode(image[None])
    count = len(teachers[0].timesteps)
    steps: dict[str, Callable[[], object]] = {
        f"{count} passes alone": lambda: [backbone.denoise(noisy, TIMESTEP) for _ in range(count)]
    }
    for batch, teacher in zip(batches, teachers, strict=True):
        steps[f"search, {batch} a pass"] = lambda teacher=teacher: teacher.predict([image])
    times, ratios = measure(steps, rounds, noisy.device)
    for name in steps:
        print(f"{name:24} {statistics.median(times[name]):8.2f} s  {spread(ratios[name])}")
    least = min(statistics.median(ratios[name]) for name in list(steps)[1:])
    verdict = "within" if least <= TEACHER_LIMIT else "above"
    print(f"search: {least:.2f}, {verdict} the limit of {TEACHER_LIMIT}")


def measure(
    steps: dict[str, Callable[[], object]], rounds: int, device: torch.device
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Wall times of each step, and ratios to the first step's of the same round."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, work in steps.items():
            wall, _ = seconds(work, device)
            if number:  # the first round warms up
                times[name].append(wall)
    first = next(iter(times.values()))
    ratios = {
        name: [own / plain for own, plain in zip(values, first, strict=True)]
        for name, values in times.items()
    }
    return times, ratios


def whole_pass(backbone: DiffusionBackbone, image: Tensor) -> None:
    """Prints time and the process's peak memory of one image's edges."""
    for timestep in (TIMESTEP, "iep"):
        teacher = TraceTeacher((backbone, {}), timestep=timestep, size=image.shape[1])
        reset = Path("/proc/self/clear_refs")
        reset.write_text("5")  # the peak so far is forgotten
        wall, _ = seconds(lambda teacher=teacher: teacher.predict([image]), backbone.device)
        status = Path("/proc/self/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        print(f"timestep {timestep}: {wall:.1f} s, {peak}")


def layer_maps(
    tokens: int, heads: int, layers: int, dim: int, device: torch.device
) -> Callable[[str], Tensor]:
    """What computes, by a route, the mean map (1, n, n) of the layers of one pass in bfloat16."""
    joint = torch.randn(2, 1, tokens, heads, dim, device=device, dtype=torch.bfloat16)
    query, key = joint.transpose(2, 3)  # (1, heads, n, dim) each, as models have them

    def sum_of_layers(route: str) -> Tensor:
        total = torch.zeros(1, tokens, tokens, device=device)
        for _ in range(layers):
            self_attention_map(query, key, total=total, route=route)
        return total / layers

    if device.type == "cuda" and not fused_is_available(query):
        raise ValueError("the fused kernel is not available: see trace_mm.attention.fused")
    return sum_of_layers


def compare_kernel(tokens: int, heads: int, layers: int, dim: int, rounds: int) -> None:
    """Prints milliseconds and memory of both routes for the layers of one pass, on a GPU."""
    device = torch.device("cuda")
    sum_of_layers = layer_maps(tokens, heads, layers, dim, device)
    difference = (sum_of_layers("fused") - sum_of_layers("chunked")).abs().max()
    print(f"{tokens} tokens, {heads} heads of {dim}, {layers} layers, bfloat16")
    print(f"largest difference between the two maps: {difference:.1e}")
    steps = {route: lambda route=route: sum_of_layers(route) for route in ("chunked", "fused")}
    times, ratios = measure(steps, rounds, device)
    for route, work in steps.items():
        print(
            f"{route:8} {statistics.median(times[route]) * 1000:9.2f} ms  "
            f"{spread(ratios[route])}  {peak_memory(work, device) / 2**20:8.1f} MiB"
        )


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--model", default="trace-tiny", help="shipped name, folder or hub id")
    source.add_argument(
        "--architecture", choices=sorted(ARCHITECTURES), help="true size, random weights"
    )
    parser.add_argument("--size", type=int, help="side of the square image; the model's by default")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--teacher", action="store_true", help="compare the search instead")
    parser.add_argument(
        "--timestep-batches", type=int, nargs="+", default=[1, 2], help="of the search"
    )
    parser.add_argument("--whole-pass", action="store_true", help="edges of one image, once")
    parser.add_argument("--kernel", action="store_true", help="compare the two routes on a GPU")
    parser.add_argument("--tokens", type=int, default=4096, help="of the kernel")
    parser.add_argument("--heads", type=int, default=38, help="of the kernel")
    parser.add_argument("--layers", type=int, default=38, help="of the kernel")
    parser.add_argument("--dim", type=int, default=64, help="of the kernel")
    return parser


def parse() -> argparse.Namespace:
    options = make_parser().parse_args()
    if options.rounds < 2:
        raise ValueError("--rounds must be at least 2")
    if options.kernel and not torch.cuda.is_available():
        raise ValueError("--kernel needs a GPU")
    return options


@torch.no_grad()
def main() -> None:
    options = parse()
    torch.manual_seed(0)
    if options.kernel:
        compare_kernel(options.tokens, options.heads, options.layers, options.dim, options.rounds)
        return
    if options.architecture:
        backbone = ARCHITECTURES[options.architecture].build_backbone()
        backbone.denoiser.to(getattr(torch, options.dtype))
        backbone.to(options.device)
    else:
        backbone = load_backbone(options.model, device=options.device, dtype=options.dtype)
    size = options.size or backbone.native_size
    scene = render_scene(0, 0, (size, size))
    image = torch.from_numpy(scene.image).permute(2, 0, 1).float() / 255.0
    latents = backbone.encode(image[None])
    grid = backbone.grid(latents)
    print(
        f"{options.architecture or options.model}, {options.dtype}, {size}x{size} pixels, "
        f"{grid[0]}x{grid[1]} tokens, {len(backbone.layers)} layers, {options.device}, "
        f"{torch.get_num_threads()} threads",
        flush=True,
    )
    if options.whole_pass:
        whole_pass(backbone, image)
    elif options.teacher:
        compare_teacher(backbone, image, options.timestep_batches, options.rounds)
    else:
        compare(backbone, latents, options.rounds)


if __name__ == "__main__":
    sys.exit(run_command(main))
