"""Pages of the reference that are made of the code: commands, and configs by name."""

import argparse
import re

from trace_mm import cli
from trace_mm.files.shipped_configs import config_names

WIDTH = 100


def commands_page() -> str:
    """Markdown: what ``--help`` of each subcommand says."""
    parser = cli._build_parser()
    (action,) = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    summaries = {choice.dest: choice.help or "" for choice in action._choices_actions}
    lines = ["# Commands", "", "What `trace-mm COMMAND --help` says.", ""]
    lines += ["| command | |", "|---|---|"]
    lines += [
        f"| [`trace-mm {name}`](#{_anchor(name)}) | {_escaped(summaries[name])} |"
        for name in action.choices
    ]
    for name, subparser in action.choices.items():
        lines += ["", f"## trace-mm {name} {{ #{_anchor(name)} }}", ""]
        lines += ["```text", _help(subparser), "```"]
    return "\n".join(lines) + "\n"


def configs_page() -> str:
    """Markdown: the configs that come with the package, with the folder that explains them."""
    folders: dict[str, list[str]] = {}
    for place in config_names():
        folder, name = place.split("/")
        folders.setdefault(folder, []).append(name)
    lines = ["# Configs by name", ""]
    lines += [
        "`trace-mm train NAME` and `trace-mm test NAME` take these from an installed package.",
        "",
    ]
    for folder, names in folders.items():
        lines += [
            f"## {folder}",
            "",
            f"What they do: [configs/{folder}](../configs/{folder}.md).",
            "",
        ]
        lines += [f"- `{name}`" for name in names] + [""]
    return "\n".join(lines)


def _help(parser: argparse.ArgumentParser) -> str:
    formatter = parser.formatter_class

    def wide(prog: str) -> argparse.HelpFormatter:
        return formatter(prog, width=WIDTH)

    parser.formatter_class = wide  # type: ignore[assignment]
    return parser.format_help().strip()


def _anchor(name: str) -> str:
    return f"trace-mm-{name}"


def _escaped(text: str) -> str:
    return re.sub(r"([|<>])", r"\\\1", text)
