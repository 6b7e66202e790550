"""Draw how often each timestep is the emergence point t* (Eq. 1), for each divergence."""

import sys

from emergence_data import add_arguments, read_data

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.visualization.plot_style import check_figure, save_figure
from trace_mm.visualization.score_plots import plot_timestep_histogram


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    add_arguments(parser)
    return parser


def main() -> None:
    options = make_parser().parse_args()
    check_figure(options.out, read=[options.source])
    data = read_data(options)
    print(save_figure(plot_timestep_histogram(data.timesteps, data.chosen()), options.out))


if __name__ == "__main__":
    sys.exit(run_command(main))
