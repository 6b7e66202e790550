"""Draw the self-attention of images as colours at several timesteps (Fig. 8), t* framed.

Tokens that attend alike have alike colours: the three principal components of the attention's rows.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.commands.config_options import add_config_options
from trace_mm.engine.runner_config import read_config
from trace_mm.files import load_image
from trace_mm.models import TraceTeacher
from trace_mm.ops import EmergencePoint
from trace_mm.registry import DATASETS, MODELS
from trace_mm.visualization import attention_pca_colors
from trace_mm.visualization.image_plots import AttentionSeries, plot_attention
from trace_mm.visualization.plot_style import check_figure, save_figure


@torch.no_grad()
def read_series(
    teacher: TraceTeacher, image: torch.Tensor, timesteps: list[int]
) -> AttentionSeries:
    """The attention of an image (3, H, W), and its emergence point."""
    search, maps = EmergencePoint(teacher.divergence), []
    for timestep, attention, grid in teacher.attention_maps(image, timesteps):
        maps.append((attention[0].float().cpu().numpy(), grid))
        search.update(timestep, attention)
    chosen = search.result().timestep if len(timesteps) > 1 else None
    reference = timesteps.index(chosen) if chosen is not None else 0
    colors = attention_pca_colors(maps, reference)
    return AttentionSeries(image.permute(1, 2, 0).numpy(), timesteps, colors, chosen)


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("config", help="config with a TraceTeacher")
    parser.add_argument("images", nargs="*", help="image files; else those of the test dataset")
    parser.add_argument("--out", required=True, help="figure to write: .png, .svg or .pdf")
    parser.add_argument(
        "--indices", type=int, nargs="+", default=[0, 1, 2], help="of the test dataset"
    )
    parser.add_argument(
        "--timesteps", type=int, nargs="+", help="which to show; default: those of the search"
    )
    add_config_options(parser)
    return parser


def main() -> None:
    options = make_parser().parse_args()
    check_figure(options.out, read=options.images)
    cfg = read_config(options.config, options.cfg_options)
    teacher = MODELS.build(cfg.model)
    if not isinstance(teacher, TraceTeacher):
        raise ValueError(f"{options.config}: attention needs a TraceTeacher, got {cfg.model.type}")
    if options.images:
        pixels = [np.ascontiguousarray(load_image(Path(path))) for path in options.images]
        images = [torch.from_numpy(image).permute(2, 0, 1) for image in pixels]
    else:
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        images = [dataset[index]["inputs"] for index in options.indices]
    timesteps = sorted(set(options.timesteps or teacher.timesteps))
    rows = [read_series(teacher, image, timesteps) for image in images]
    print(save_figure(plot_attention(rows), options.out))


if __name__ == "__main__":
    sys.exit(run_command(main))
