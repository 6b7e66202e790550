"""Make a table or figure of the paper, or App. E.1: run each step, print the paper's numbers and
ours.

Steps are commands that anybody could type. Each is done once: the same command goes on where it
stopped, and experiments share what they have in common.
"""

import os
import sys
from pathlib import Path

from reproduction import catalog
from reproduction.experiment import Experiment, Setting
from reproduction.report import as_text, table, title, write_report
from reproduction.running import ROOT, run_steps, shown

from trace_mm.commands.arguments import positive
from trace_mm.commands.command_line import Parser, run_command

WORK = Path("work_dirs/reproduce")
_SETTINGS = ("backbone", "mini", "images", "iterations", "size", "device")


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("experiment", nargs="?", help="such as 1a, 'figure 7' or e1")
    parser.add_argument(
        "--list",
        action="store_true",
        help="name all experiments, a line each; with --mini those that have a mini run",
    )
    parser.add_argument(
        "--needs", action="store_true", help="say what it needs, and what is missing"
    )
    parser.add_argument("--steps", action="store_true", help="write the commands, and run none")
    parser.add_argument(
        "--data", default="data", metavar="ROOT", help="folder of datasets (default: data)"
    )
    parser.add_argument(
        "--backbone", default="sd35-large", metavar="NAME", help="of 'trace-mm backbones'"
    )
    parser.add_argument(
        "--mini", action="store_true", help="drawn scenes and the shipped models: minutes, no data"
    )
    parser.add_argument(
        "--images",
        type=positive,
        default=40,
        metavar="N",
        help="scenes of a mini run (default: 40)",
    )
    parser.add_argument(
        "--iterations", type=positive, default=200, metavar="N", help="of trainings of a mini run"
    )
    parser.add_argument(
        "--out", default=str(WORK), metavar="DIR", help=f"folder of all results (default: {WORK})"
    )
    parser.add_argument(
        "--size", type=positive, metavar="N", help="show models N x N pixels, for a quick try"
    )
    parser.add_argument("--device", metavar="D", help="of models, such as cuda:1")
    return parser


def main() -> int:
    args = make_parser().parse_args()
    setting = _setting(args)
    os.chdir(ROOT)  # from where steps run, and where paths of the setting lead from
    if args.list:
        for name in catalog.names(setting.mini):
            print(f"{title(name):<10} {catalog.EXPERIMENTS[name](setting).title}")
        return 0
    if args.experiment is None:
        raise ValueError("name a table, figure or appendix; --list names all")
    name = catalog.find(args.experiment)
    experiment = catalog.EXPERIMENTS[name](setting)
    if args.needs:
        print(_needs(experiment, setting.data) or f"{title(name)} needs no data.")
        return 0
    if args.steps:
        print("\n".join(shown(step.command) for step in experiment.steps))
        return 0
    if any(need.missing(setting.data) for need in experiment.needs):
        said = _needs(experiment, setting.data)
        raise FileNotFoundError(f"{title(name)} lacks data (--mini needs none):\n{said}")
    run_steps(experiment.steps, setting)
    print(f"{title(name)}: {experiment.title}\n\n{as_text(table(experiment))}\n")
    print("\n".join(f"- {choice}" for choice in experiment.choices))
    written = (str(path.absolute()) for path in write_report(name, experiment, setting))
    print(f"\nwrote {' and '.join(written)}")
    return 0


def _setting(args: object) -> Setting:
    """How the command line wants it. Paths within the project are written from there."""
    options = dict(vars(args))
    kind = f"mini-{options['images']}-{options['iterations']}" if options["mini"] else ""
    kind += f"-{options['size']}px" if options["mini"] and options["size"] else ""
    return Setting(
        work=_from_root(Path(options["out"]) / (kind or options["backbone"])),
        data=_from_root(Path(options["data"])),
        **{name: options[name] for name in _SETTINGS},
    )


def _from_root(path: Path) -> Path:
    """A path as seen from the project's root, where steps run."""
    whole = path.expanduser().absolute()
    whole = whole.resolve() if ".." in whole.parts else whole  # one folder is written in one way
    return whole.relative_to(ROOT) if whole.is_relative_to(ROOT) else whole


def _needs(experiment: Experiment, data: Path) -> str:
    """What an experiment needs: where from, how large, where to put it, and what is missing."""
    lines = []
    for need in experiment.needs:
        lines.append(f"{need.name} ({need.size}; {need.source})")
        missing = need.missing(data)
        for part in need.holds:
            path = data / need.folder / part
            lines.append(f"  {'missing' if path in missing else 'found  '}  {path}")
        if need.convert:
            lines.append(f"  made by  {need.convert}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_command(main))
