"""Everything that needs a GPU, checked first and measured after, in one command.

Models have the architectures that were published, at their full size, and random weights in
bfloat16: nothing is downloaded. Parts: the fused attention kernel, teacher and student passes of
five models, distillation, refinement's numerics, two ranks, and libraries for little memory. A step
that fails is written down with the last line of its traceback, the others go on, and the exit
status is then 1; what is not installed, not there or does not fit into its part's time is listed
as skipped, with the reason. Results are OUT/gpu.json and OUT/gpu.md.

With --tiny all runs on the CPU, with shrunken models, to see that it runs.
"""

import argparse
import gc
import sys
from pathlib import Path

import torch
from gpu_parts import PARTS, Setting
from gpu_parts.report import describe_machine, write_report
from gpu_parts.running import FAILED, PartRun, Record

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.runs.summary import DONE, SOME_FAILED

LONGER = 6.0
"""How many times as long as with --quick parts may take without."""


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for the results")
    parser.add_argument("--quick", action="store_true", help="well inside ten minutes")
    parser.add_argument("--tiny", action="store_true", help="shrunken models on the CPU")
    parser.add_argument(
        "--budget", type=float, metavar="SECONDS", help="of each part; its own by default"
    )
    parser.add_argument(
        "--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="all by default"
    )
    parser.add_argument("--device", default="cuda", help="cuda or cuda:N")
    return parser


def read_setting(options: argparse.Namespace) -> Setting:
    """What the options ask for.

    Raises:
        ValueError: if there is no such device, or no time.
    """
    if options.budget is not None and options.budget <= 0:
        raise ValueError(f"--budget must be above 0, got {options.budget:g}")
    device = torch.device("cpu" if options.tiny else options.device)
    if not options.tiny and (device.type != "cuda" or not torch.cuda.is_available()):
        raise ValueError(
            f"--device {options.device}: this needs a GPU with CUDA; --tiny runs on the CPU"
        )
    if device.type == "cuda":
        device = torch.device("cuda", device.index or 0)
        if device.index >= torch.cuda.device_count():
            raise ValueError(f"--device {device}: there are {torch.cuda.device_count()} GPUs")
        torch.cuda.set_device(device)
    return Setting(device, options.out, options.quick, options.tiny)


def main() -> int:
    options = make_parser().parse_args()
    setting = read_setting(options)
    setting.folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    gc.freeze()  # garbage is collected after each step: what was imported need not be looked at
    machine = describe_machine(setting)
    longer = 1.0 if setting.quick else LONGER
    runs = [
        PartRun(PARTS[name](setting), options.budget or PARTS[name].seconds * longer)
        for name in dict.fromkeys(options.parts)
    ]
    asked = {
        "quick": setting.quick,
        "tiny": setting.tiny,
        "parts": {run.part.name: {"needs": run.part.needs, "s": run.budget} for run in runs},
    }
    records: list[Record] = []
    for kind in ("check", "measure"):
        for run in runs:
            for record in run.run(kind):
                records.append(record)
                print(
                    f"{record.status:8}{record.seconds:7.1f} s  {record.part}: {record.step}  "
                    f"{record.reason or record.values}",
                    flush=True,
                )
                # After each: a crash of the driver must not take what was found before.
                write_report(setting.folder, machine, asked, records)
    failed = sum(record.status == FAILED for record in records)
    print(f"{len(records)} steps, {failed} failed: {setting.folder / 'gpu.md'}")
    return SOME_FAILED if failed else DONE


if __name__ == "__main__":
    sys.exit(run_command(main))
