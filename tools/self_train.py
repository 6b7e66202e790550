"""Rounds of self-training (CutLER, Wang et al., CVPR 2023): a detector learns from its own masks.

Each round is three commands, which are written before they run: the detector's masks of the
training images (tools/test.py), those that it is sure of merged with the old ones
(tools/merge_masks.py), and a training on these that goes on from the round before (tools/train.py).
Given again, what was interrupted goes on: steps that are done are not done again.
"""

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trace_mm.commands.arguments import positive, share
from trace_mm.commands.command_line import Parser, run_command
from trace_mm.commands.config_options import add_config_options
from trace_mm.files import write_atomically
from trace_mm.files.file_state import file_state
from trace_mm.files.locking import locked

TOOLS = Path(__file__).parent
STEPS_FILE = "steps.json"


@dataclass(frozen=True)
class Step:
    """One command of a round.

    Attributes:
        tool: file in the folder of this one.
        arguments: of the tool.
        result: file that is there once the command is done, and not before.
        is_parallel: whether it runs in several processes.
    """

    tool: str
    arguments: tuple[str, ...]
    result: Path
    is_parallel: bool = True

    def command(self, processes: int) -> list[str]:
        """The command line."""
        script = str(TOOLS / self.tool)
        if processes == 1 or not self.is_parallel:
            return [sys.executable, script, *self.arguments]
        launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        return [sys.executable, *launch, script, *self.arguments]


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument(
        "config", help="of a round, such as one of configs/detectors/*_self-train_*"
    )
    parser.add_argument(
        "checkpoint", type=Path, help="of the detector of the round before the first"
    )
    parser.add_argument("--images", required=True, metavar="DIR", help="folder of training images")
    parser.add_argument(
        "--labels", type=Path, required=True, metavar="FILE", help="masks that it has learned from"
    )
    parser.add_argument("--work-dir", type=Path, required=True, metavar="DIR", help="of all rounds")
    parser.add_argument("--rounds", type=positive, default=2, metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--min-score",
        type=share,
        nargs="+",
        default=[0.7, 0.65],
        metavar="X",
        help="least score of a mask to learn from, of each round; the last is that of all further "
        "rounds (default: 0.7 0.65)",
    )
    parser.add_argument(
        "--max-overlap",
        type=share,
        default=0.5,
        metavar="X",
        help="an old mask goes if a sure one has this IoU with it, or more (default: %(default)s)",
    )
    parser.add_argument(
        "--processes",
        type=positive,
        default=1,
        metavar="N",
        help="processes, one a GPU, that train and predict (default: 1)",
    )
    parser.add_argument(
        "--amp", action="store_true", help="train in mixed precision, as of tools/train.py"
    )
    add_config_options(parser, ", in training and prediction")
    return parser


def plan(options: Any, last_iteration: int) -> list[Step]:
    """All steps of all rounds, in order.

    Args:
        options: of the command line.
        last_iteration: of a round's training, whose checkpoint ends it.
    """
    checkpoint, labels, steps = options.checkpoint, options.labels, []
    for number in range(1, options.rounds + 1):
        folder = options.work_dir / f"round{number}"
        predictions, merged = folder / "predictions.json", folder / "labels.json"
        trained = folder / f"iter_{last_iteration}.pth"
        score = options.min_score[min(number, len(options.min_score)) - 1]
        predict = [f"images={options.images}", f"labels={labels}", "test_set=train"]
        predict += [f"test_evaluator.min_score={score}", *_settings(options)]
        learn = [f"images={options.images}", f"labels={merged}", f"load_from={checkpoint}"]
        limits = ["--min-score", str(score), "--max-overlap", str(options.max_overlap)]
        steps += [
            _step("test.py", predictions, options.config, checkpoint, "--work-dir", folder / "test",
                  "--out", predictions, "--cfg-options", *predict),
            Step("merge_masks.py", _texts(labels, predictions, "--out", merged, *limits), merged,
                 is_parallel=False),
            _step("train.py", trained, options.config, "--work-dir", folder, "--resume",
                  *(["--amp"] if options.amp else []), "--cfg-options", *learn,
                  *_settings(options)),
        ]  # fmt: skip
        checkpoint, labels = trained, merged
    return steps


def run_steps(steps: list[Step], options: Any) -> None:
    """Do what is not done yet.

    Raises:
        ValueError: if the folder holds rounds of other settings or inputs, or another process
            works in it.
        OSError: if a command fails.
    """
    inputs = [
        {"path": str(path), **file_state(path)} for path in (options.checkpoint, options.labels)
    ]
    given = {"inputs": inputs, "steps": [[step.tool, *step.arguments] for step in steps]}
    options.work_dir.mkdir(parents=True, exist_ok=True)
    with locked(options.work_dir):
        _check_same(options.work_dir / STEPS_FILE, given)
        write_atomically(options.work_dir / STEPS_FILE, json.dumps(given, indent=1).encode())
        for step in steps:
            command = step.command(options.processes)
            if step.result.is_file():
                print(f"done before: {step.result}", flush=True)
                continue
            print(shlex.join(command), flush=True)
            status = subprocess.run(command, check=False).returncode
            if status or not step.result.is_file():
                raise OSError(
                    f"{step.tool} ended with status {status}, without {step.result}: see above; "
                    "the same command goes on from here"
                )


def _check_same(path: Path, given: dict[str, Any]) -> None:
    """Refuse to go on with other settings; more or fewer rounds are the same."""
    if not path.is_file():
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    common = min(len(before["steps"]), len(given["steps"]))
    if before["inputs"] != given["inputs"] or before["steps"][:common] != given["steps"][:common]:
        raise ValueError(
            f"{path.parent} holds rounds of other settings, or of files that have changed since: "
            "name another --work-dir, or remove it"
        )


def _settings(options: Any) -> list[str]:
    return [f"{name}={value}" for name, value in options.cfg_options.items()]


def _step(tool: str, result: Path, *arguments: Any) -> Step:
    return Step(tool, _texts(*arguments), result)


def _texts(*arguments: Any) -> tuple[str, ...]:
    return tuple(str(argument) for argument in arguments)


def last_iteration(config: str, options: dict[str, Any]) -> int:
    """The number of iterations of a config's training.

    Raises:
        ValueError: if it counts epochs.
    """
    from trace_mm.engine.runner_config import read_config

    found = read_config(config, options).get("train_cfg", {}).get("max_iters")
    if found is None:
        raise ValueError(f"{config}: its train_cfg has no max_iters, as a round needs it")
    return int(found)


def main() -> None:
    options = make_parser().parse_args()
    for path in (options.checkpoint, options.labels):
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
    steps = plan(options, last_iteration(options.config, options.cfg_options))
    run_steps(steps, options)
    print(f"trained: {steps[-1].result}")


if __name__ == "__main__":
    sys.exit(run_command(main))
