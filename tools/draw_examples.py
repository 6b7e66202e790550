"""Draw the README's picture: scenes, edges of Sobel, teacher and student, and true borders."""

import sys
from pathlib import Path

import cv2
import numpy as np
import torch

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets import instance_borders
from trace_mm.datasets.scenes import render_scene
from trace_mm.diffusion import shipped_models
from trace_mm.models import SobelDetector, TraceTeacher, build_student

SEED = 11  # the demo's series


def grey(edges: np.ndarray, size: int) -> np.ndarray:
    """An edge map (H, W) in [0, 1] as dark lines on white, uint8 (size, size, 3)."""
    large = cv2.resize(edges.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    return np.repeat(((1 - np.clip(large, 0, 1)) * 255).astype(np.uint8)[:, :, None], 3, axis=2)


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("out", type=Path, help="PNG file to write")
    parser.add_argument("--scenes", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--model", default="trace-tiny", choices=shipped_models())
    parser.add_argument("--size", type=int, default=192, help="pixels a picture")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    teacher = TraceTeacher({"pretrained": options.model})
    student = build_student(options.model)
    detectors = (SobelDetector(sigma=4.0), teacher, student)
    columns = []
    for index in options.scenes:
        scene = render_scene(SEED, index)
        image = torch.from_numpy(scene.image).permute(2, 0, 1).float() / 255.0
        shown = cv2.resize(scene.image, (options.size, options.size), interpolation=cv2.INTER_CUBIC)
        maps = [model([image])[0].pred_edges.numpy() for model in detectors]
        maps[0] = maps[0] / max(float(maps[0].max()), 1e-6)
        maps.append(instance_borders(scene.instance_ids).astype(np.float32))
        columns.append(np.concatenate([shown, *(grey(edges, options.size) for edges in maps)]))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    picture = np.concatenate(columns, axis=1)
    if not cv2.imwrite(str(options.out), picture[:, :, ::-1]):
        raise OSError(f"cannot write {options.out}")


if __name__ == "__main__":
    sys.exit(run_command(main))
