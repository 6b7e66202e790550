"""Choose what an edge must be for a cut in panoptic labels: settings of a preset, by PQ.

Validation images are labelled with each combination of ``min_border`` and ``weak_share``. The one
with the best mean PQ of true and of worn class masks is printed; of equal ones the one that cuts
least. Images must be in no test.

    python tools/benchmark/label_presets.py photos/ panoptic/ --edges edges/ --preset photos
"""

import itertools
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import panoptic_labels

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.panoptic.presets import LABELER_PRESETS


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("images", type=Path, help="folder of images")
    parser.add_argument("panoptic", type=Path, help="folder with panoptic.json and panoptic/")
    parser.add_argument("--edges", required=True, metavar="DIR", help="edge maps of the images")
    parser.add_argument("--preset", choices=LABELER_PRESETS, default="photos")
    parser.add_argument("--min-border", type=float, nargs="+", default=[0.5, 0.7, 0.8, 0.9, 0.999])
    parser.add_argument("--weak-share", type=float, nargs="+", default=[0.1, 0.3, 0.5])
    parser.add_argument("--length", type=int, help="take so many images only")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Try the settings; ``arguments`` are those of the command line if None."""
    options = make_parser().parse_args(arguments)
    words = [str(options.images), str(options.panoptic), "--edges", f"maps={options.edges}"]
    words += [] if options.length is None else ["--length", str(options.length)]
    found = []
    for border, share in itertools.product(options.min_border, options.weak_share):
        chosen = [f'preset="{options.preset}"', f"min_border={border}", f"weak_share={share}"]
        print(*chosen)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "scores.json"
            panoptic_labels.main([*words, "--out", str(out), "--set", *chosen])
            scores = json.loads(out.read_text(encoding="utf-8"))["scores"]
        quality = sum(one["PQ"] for one in scores.values()) / len(scores)
        found.append((quality, border, -share))
    quality, border, share = max(found)
    print(f"best: min_border={border} weak_share={-share}, mean PQ {quality:.1f}")


if __name__ == "__main__":
    sys.exit(run_command(main))
