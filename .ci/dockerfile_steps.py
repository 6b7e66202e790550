"""Prints the steps of a Dockerfile as a script for bash, for machines without a Docker daemon.

What is copied comes from a checkout, what the image has in absolute folders goes below a folder of
its own, and pip and python are those on the PATH. Steps of root's alone (apt-get, dnf, useradd,
chown) are left out, and told.
"""

import argparse
import re
import shlex
import sys
from pathlib import Path

ROOTS_ALONE = re.compile(r"\b(apt-get|dnf|useradd|chown)\b|rm -rf /var")
FOLDERS = ("/opt/", "/cache", "/out", "/home/")


def instructions(text: str) -> list[tuple[str, str]]:
    """Keyword and rest of each instruction, with its lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    pairs = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [(keyword, rest) for keyword, rest in pairs]


def script(text: str, checkout: Path, root: Path) -> list[str]:
    """Lines of bash that do what a Dockerfile's instructions do."""
    lines = ["set -euo pipefail", f"mkdir -p {root}", f"cd {root}"]
    for keyword, rest in instructions(text):
        if keyword == "ARG":
            name, _, value = rest.partition("=")
            lines.append(f"{name}=${{{name}:-{shlex.split(value)[0]}}}")
        elif keyword == "ENV":
            lines += [f"export {_below(pair, root)}" for pair in shlex.split(rest)]
        elif keyword == "WORKDIR":
            lines += [f"mkdir -p {_below(rest, root)}", f"cd {_below(rest, root)}"]
        elif keyword == "COPY":
            *sources, target = rest.split()
            lines.append(f"cp -r {' '.join(str(checkout / name) for name in sources)} {target}")
        elif keyword == "RUN":
            for step in (part.strip() for part in rest.split("&&")):
                if ROOTS_ALONE.search(step):
                    print(f"left out: {step}", file=sys.stderr)
                else:
                    lines += [f"echo + {shlex.quote(step)}", _below(step, root)]
        elif keyword in ("ENTRYPOINT", "CMD"):
            words = " ".join(shlex.quote(word) for word in re.findall(r'"([^"]*)"', rest))
            lines.append(f"{keyword.lower()}='{words}'")
    return [*lines, "$entrypoint $cmd"]


def _below(step: str, root: Path) -> str:
    """A step with the image's own folders below another."""
    for folder in FOLDERS:
        step = re.sub(rf"(?<![\w./]){re.escape(folder)}", f"{root}{folder}", step)
    return step


def main() -> None:
    """Write the script to stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dockerfile", type=Path)
    parser.add_argument("--checkout", type=Path, default=Path.cwd())
    parser.add_argument("--root", type=Path, required=True, help="folder for the image's folders")
    arguments = parser.parse_args()
    text = arguments.dockerfile.read_text(encoding="utf-8")
    print("\n".join(script(text, arguments.checkout.resolve(), arguments.root.resolve())))


if __name__ == "__main__":
    main()
