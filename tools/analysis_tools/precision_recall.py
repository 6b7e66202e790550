"""Draw precision-recall curves of several detectors, with the ODS points and lines of equal F.

Reads the JSON files of tools/test.py --out, and of tools/benchmark/teacher_scores.py --out, which
hold several rows.
"""

import sys
from pathlib import Path
from typing import Any

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.files.json_file import read_json
from trace_mm.visualization.plot_style import check_figure, save_figure
from trace_mm.visualization.score_plots import PrecisionRecall, plot_precision_recall


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument(
        "scores",
        nargs="+",
        metavar="[LABEL=]FILE[#ROW]",
        help="JSON file; without a label, the file's name or the row's; without a row, all of them",
    )
    parser.add_argument("--out", required=True, help="figure to write: .png, .svg or .pdf")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    check_figure(options.out, read=[_split(argument)[1] for argument in options.scores])
    curves: dict[str, PrecisionRecall] = {}
    for argument in options.scores:
        for name, curve in read_curves(argument).items():
            if name in curves:
                raise ValueError(f"{argument}: there is a curve {name!r} already, give it a label")
            curves[name] = curve
    print(save_figure(plot_precision_recall(curves), options.out))


def read_curves(argument: str) -> dict[str, PrecisionRecall]:
    """The curves that one argument of the command line stands for, by label.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no file of scores, or has no such row.
    """
    label, file, row = _split(argument)
    path = Path(file)
    content = read_json(path, "file of scores")
    if not isinstance(content, dict):
        raise ValueError(f"{path}: not a file of scores")
    rows = content.get("scores", {path.stem: content})
    if row:
        if row not in rows:
            raise ValueError(f"{path}: no row {row!r}, only {', '.join(map(repr, rows))}")
        rows = {row: rows[row]}
    if label and len(rows) > 1:
        raise ValueError(f"{path}: has {len(rows)} rows, choose one for the label {label!r}")
    return {label or name: _curve(path, scores) for name, scores in rows.items()}


def _split(argument: str) -> tuple[str, str, str]:
    """Label, file and row; labels and names of rows may hold = too."""
    labelled, _, row = argument.partition("#")
    label, _, file = labelled.rpartition("=")
    return label, file, row


def _curve(path: Path, scores: dict[str, Any]) -> PrecisionRecall:
    try:
        best = scores["precision"], scores["recall"], scores["ods"]
        return PrecisionRecall(scores["curve"]["precision"], scores["curve"]["recall"], best)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: no precision-recall curve in it: {error} is missing") from error


if __name__ == "__main__":
    sys.exit(run_command(main))
