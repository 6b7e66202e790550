"""The command lines and files that the documentation shows."""

import itertools
import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "docs/recipes/*.md", "configs/*/*.md", "projects/*/*.md")
    for path in ROOT.glob(pattern)
)
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`((?:python|torchrun|trace-mm|tools/dist_\w+\.sh) [^`]+)`")
_SCRIPT = re.compile(r"(tools|projects)/[\w/]+\.(py|sh)")
_ENDS = {"&&", "||", ";", "|", "&", "do", "done", ">", "2>"}


def documented_commands() -> list[tuple[str, str, list[str]]]:
    """Page, script ("trace-mm" or a file) and arguments of each command in a page."""
    return [
        (page.relative_to(ROOT).as_posix(), script, arguments)
        for page in PAGES
        for line in _lines(page.read_text(encoding="utf-8"))
        for script, arguments in _calls(line)
        if not _is_fragment(arguments)
    ]


def documented_block(page: str, name: str) -> str:
    """The code block of a page that follows the comment ``<!-- name -->``."""
    text = (ROOT / page).read_text(encoding="utf-8")
    block = re.search(rf"<!-- {re.escape(name)} -->\n```\w+\n(.*?)```", text, re.DOTALL)
    assert block is not None, f"{page} shows no {name}"
    return block[1]


def _lines(text: str) -> list[str]:
    blocks = _FENCE.findall(text)
    lines = [
        line
        for kind, block in blocks
        if kind in ("bash", "sh", "console", "")
        for line in _joined(block).splitlines()
    ]
    inline = [" ".join(span.split()) for span in _INLINE.findall(_FENCE.sub("", text))]
    return lines + [line for line in inline if not line.startswith("trace-mm")]


_ASSIGNMENT = re.compile(r"(\w+)=([^\s\"']+|\"[^\"]*\"|'[^']*')$")
_LOOP = re.compile(r"for (\w+) in ([^\s;]+)")


def _joined(block: str) -> str:
    """A block with its continued lines joined, and its variables set."""
    values: dict[str, str] = {}
    lines = []
    for line in re.sub(r"\\\n\s*", " ", block).splitlines():
        for name, value in values.items():
            line = re.sub(rf"\$\{{?{name}\b\}}?", value, line)
        found = _ASSIGNMENT.match(line) or _LOOP.match(line)
        if found:
            values[found[1]] = found[2].strip("\"'")
        lines.append(line)
    return "\n".join(lines)


def _calls(line: str) -> list[tuple[str, list[str]]]:
    """The calls of our commands in a line of shell."""
    variables = re.sub(r"\$\{?\w+\}?", "1", line)
    try:
        words = shlex.split(variables, comments=True)
    except ValueError:  # not a line of shell, but part of a text in quotes
        return []
    calls = []
    for _, group in itertools.groupby(words, lambda word: word.rstrip(";") in _ENDS):
        command = list(group)
        for number, word in enumerate(command):
            if Path(word).name == "trace-mm":
                calls.append(("trace-mm", command[number + 1 :]))
                break
            if _SCRIPT.fullmatch(word) and (number == 0 or command[0] in ("python", "torchrun")):
                calls.append(_of_launcher(word, command[number + 1 :]))
                break
    return calls


def _of_launcher(script: str, arguments: list[str]) -> tuple[str, list[str]]:
    """The call that a shell script makes of its arguments."""
    if script == "tools/dist_train.sh":
        return "tools/train.py", [arguments[0], *arguments[2:]]
    if script == "tools/dist_test.sh":
        checkpoint = [] if arguments[1] == "none" else [arguments[1]]
        return "tools/test.py", [arguments[0], *checkpoint, *arguments[3:]]
    if script == "tools/slurm_train.sh":
        return "tools/train.py", [arguments[2], *arguments[3:]]
    return script, arguments


def _is_fragment(arguments: list[str]) -> bool:
    """Whether a command only hints at its arguments."""
    return any(word in ("...", "…") or word.endswith("...") for word in arguments)
