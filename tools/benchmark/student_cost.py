"""Time and memory of student and teacher, as ratios to a plain forward pass at the same resolution.

A plain forward pass is the VAE's encoder and the denoiser, without anything read from them. All run
in one process on one image, in turn, so that each round gives one ratio of each; printed are the
medians and the quartiles of those ratios. On a CPU the ratios of processor time are printed too:
they suffer less from what else runs on the machine. Memory is the most that was allocated at a time
during one call, beside the weights. Without a checkpoint the student is an untrained one, whose
cost is that of a trained one with its LoRA merged.
"""

import argparse
import statistics
import sys
from collections.abc import Callable

import torch
from measure import peak_memory, seconds, spread

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets.scenes import render_scene
from trace_mm.models import TraceStudent, TraceTeacher, build_student

LIMIT = 1.2
"""How many plain forward passes a student may cost."""


def build(options: argparse.Namespace) -> tuple[TraceStudent, TraceTeacher]:
    backbone = {"pretrained": options.model, "device": options.device}
    if options.layers:
        backbone["layers"] = options.layers
    if options.checkpoint:
        student = build_student(options.checkpoint, backbone, size=options.size)
    else:
        decoder = {"type": options.decoder, "upsampling": options.upsampling}
        if options.latent_channels:
            decoder["latent_channels"] = options.latent_channels
        student = TraceStudent(backbone, decoder, lora=None, size=options.size).eval()
    backbone.pop("layers", None)
    teacher = TraceTeacher(backbone, size=options.size)
    return student.to(options.device), teacher


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--model", default="trace-tiny", help="the backbone")
    parser.add_argument("--checkpoint", help="of a trained student")
    parser.add_argument("--decoder", default="GridFreeDecoder", help="of the untrained student")
    parser.add_argument("--upsampling", type=int, default=4, help="of the untrained student")
    parser.add_argument("--latent-channels", type=int, default=8, help="that its decoder sees")
    parser.add_argument("--layers", help="regular expression of the layers that the student reads")
    parser.add_argument("--size", type=int, default=128, help="side of the square image")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=11)
    return parser


@torch.no_grad()
def main() -> None:
    options = make_parser().parse_args()
    if options.rounds < 2:
        raise ValueError("--rounds must be at least 2")

    student, teacher = build(options)
    backbone, device = student.backbone, torch.device(options.device)
    scene = render_scene(0, 0, (options.size, options.size))
    image = torch.from_numpy(scene.image).permute(2, 0, 1).float() / 255.0
    latents = backbone.encode(image[None])
    grid = backbone.grid(latents)
    attention = backbone.attention(latents, student.timestep)
    steps: dict[str, Callable[[], object]] = {
        "plain": lambda: backbone.denoise(backbone.encode(image[None]), student.timestep),
        "student": lambda: student.predict([image]),
        "  its encoder": lambda: backbone.encode(image[None]),
        "  its pass and attention": lambda: backbone.attention(
            latents, student.timestep, key_cell=student.key_cell
        ),
        "  its decoder": lambda: student.decoder(attention, grid, latents),
        "teacher": lambda: teacher.predict([image]),
    }
    walls: dict[str, list[float]] = {name: [] for name in steps}
    busy: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(options.rounds + 1):
        for name, work in steps.items():
            wall, processor = seconds(work, device)
            if number:  # the first round warms up
                walls[name].append(wall)
                busy[name].append(processor)
    memory = {name: peak_memory(work, device) for name, work in steps.items()}

    print(
        f"{options.size}x{options.size} pixels, {grid[0]}x{grid[1]} tokens, {device.type}, "
        f"{torch.get_num_threads()} threads, {options.rounds} rounds"
    )
    print(
        f"{'':26} {'ms':>8}  {'plain passes':24} {'in processor time':24} {'MiB':>7} {'ratio':>6}"
    )
    ratios = {}
    for name in steps:
        times = [own / plain for own, plain in zip(walls[name], walls["plain"], strict=True)]
        processor = [own / plain for own, plain in zip(busy[name], busy["plain"], strict=True)]
        ratios[name] = statistics.median(times if device.type == "cuda" else processor)
        print(
            f"{name:26} {statistics.median(walls[name]) * 1000:8.1f}  {spread(times):24} "
            f"{spread(processor) if device.type == 'cpu' else '':24} "
            f"{memory[name] / 2**20:7.1f} {memory[name] / memory['plain']:6.2f}"
        )
    verdict = "within" if ratios["student"] <= LIMIT else "above"
    print(f"student: {ratios['student']:.2f} plain passes, {verdict} the limit of {LIMIT}")
    print(f"teacher: {ratios['teacher'] / ratios['student']:.1f} students")


if __name__ == "__main__":
    sys.exit(run_command(main))
