"""Milliseconds from a moved slider of trace-mm app to the last of its effects, in a real browser.

The last effect is the last picture, decoded, or text that changes until nothing more does.

Needs the extra app, playwright and a Chromium (CHROMIUM, or on the path).
"""

import os
import random
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

from trace_mm.app.photos import Limits
from trace_mm.app.server import served
from trace_mm.app.session import AppModels
from trace_mm.commands.command_line import Parser, run_command

RANGES = {"score": (0.05, 0.6), "number": (1, 100), "threshold": (0.02, 0.3)}
"""Of the values that sliders are set to: those that change what most photos show."""

QUIET = 700  # milliseconds without a change, after which a move has had all of its effects

MOVE = """async ([slider, value, quiet]) => {
    const range = document.querySelector(`#${slider} input[type=range]`)
    const pictures = () => [...document.querySelectorAll("#edges img, #masks img")]
    const shown = () =>
        [document.querySelector("#said").innerText, ...pictures().map(one => one.src)].join()
    const begin = performance.now()
    let last = shown(), changed = null
    range.value = value
    range.dispatchEvent(new Event("input", {bubbles: true}))
    while (performance.now() - Math.max(begin, changed ?? 0) < quiet) {
        if (shown() !== last) {
            last = shown()
            // a picture that is replaced meanwhile cannot be decoded, and is seen again next time
            await Promise.all(pictures().map(one => one.decode())).catch(() => null)
            changed = performance.now()
        }
        await new Promise(requestAnimationFrame)
    }
    return changed === null ? null : changed - begin  // null: the value changes nothing
}"""


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO")
    parser.add_argument("--moves", type=int, default=20, metavar="N", help="of each slider a photo")
    return parser


def moves(tab: Any, slider: str, count: int, choice: random.Random) -> list[float]:
    """Milliseconds of each move that changed something."""
    low, high = RANGES[slider]
    found = []
    for _ in range(count):
        value = choice.uniform(low, high)
        value = round(value) if slider == "number" else round(value, 2)
        took = tab.evaluate(MOVE, [slider, str(value), QUIET])
        if took is not None:
            found.append(took)
    tab.evaluate(MOVE, [slider, "20" if slider == "number" else "0", QUIET])
    return found


def main() -> None:
    from playwright.sync_api import sync_playwright  # of the tests

    options = make_parser().parse_args()
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    choice, times = random.Random(0), {slider: [] for slider in RANGES}
    with served(AppModels(), Limits(), port=0) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page(viewport={"width": 1400, "height": 900})
        tab.set_default_timeout(300_000)
        for photo in options.photos:
            tab.goto(address)
            tab.set_input_files("#photos input[type=file]", str(photo))
            tab.locator("#masks img").wait_for()
            print(photo.name, tab.locator("#said").inner_text(), flush=True)
            for slider, found in times.items():
                found += moves(tab, slider, options.moves, choice)
        browser.close()
    waiting = os.getloadavg()[0]
    print(f"{os.cpu_count()} processors, on which {waiting:.1f} processes ran or waited")
    for slider, found in times.items():
        print(
            f"{slider:10} {len(found):4} moves  median {statistics.median(found):5.0f} ms  "
            f"worst {max(found):5.0f} ms"
        )


if __name__ == "__main__":
    sys.exit(run_command(main))
