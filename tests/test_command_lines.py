"""Every command line that the documentation shows, and every form of every option, is accepted."""

import argparse
import importlib
import json
from pathlib import Path

import pytest

from tests.documented_commands import ROOT, documented_commands
from trace_mm import cli

HELPERS = {
    "demo",
    "edge_metric_reference",
    "edge_models",
    "edges",
    "emergence_data",
    "measure",
    "published_configs",
    "test",
    "train",
}
TOOLS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("tools/*.py", "tools/*/*.py")
    for path in ROOT.glob(pattern)
    if path.stem not in HELPERS and path.parent.name not in ("reproduction", "site")
)
PROJECTS = [
    "projects/embedded_backbone/publish.py",
    "projects/embedded_backbone/train_unet.py",
    "projects/embedded_backbone/train_vae.py",
    "projects/mask_generators/generate.py",
    "projects/rival_edges/hed.py",
    "projects/sam_seeds/segment.py",
]
COMMANDS = documented_commands()


def _subcommands():
    """The parsers of all subcommands of trace-mm, by name."""
    actions = cli._build_parser()._actions
    (found,) = (one for one in actions if isinstance(one, argparse._SubParsersAction))
    return found.choices


@pytest.fixture
def parser_of(monkeypatch):
    """The parser of a script, as it makes it itself."""

    def find(script):
        if script == "trace-mm":
            return cli._build_parser()
        if script in ("tools/train.py", "tools/test.py"):  # doors to subcommands of these names
            return _subcommands()[Path(script).stem]
        monkeypatch.syspath_prepend(str((ROOT / script).parent))
        module = importlib.import_module(script.removesuffix(".py").replace("/", "."))
        return module.make_parser()

    return find


@pytest.mark.parametrize(
    ("page", "script", "arguments"),
    COMMANDS,
    ids=[f"{page}:{script} {' '.join(words)[:60]}" for page, script, words in COMMANDS],
)
def test_documented_commands_are_accepted(parser_of, page, script, arguments):
    try:
        parser_of(script).parse_args(arguments)
    except SystemExit as stop:
        assert stop.code == 0, f"{page}: {script} {' '.join(arguments)}"


def test_documented_commands_are_found():
    """That the search finds what is there."""
    found = {script for _, script, _ in COMMANDS}
    assert {"trace-mm", "tools/train.py", "tools/test.py"} <= found
    assert {words[0] for _, script, words in COMMANDS if script == "trace-mm"} >= {
        "edges",
        "segment",
        "refine",
        "panoptic",
        "export",
        "demo",
        "backbones",
    }
    assert len(COMMANDS) > 80


def _sample(action):
    """A value that an option takes."""
    if action.choices is not None:
        return str(next(iter(action.choices)))
    if str(action.metavar).startswith(("NAME=", "KEY=")):
        return "a=1"
    if getattr(action.type, "__name__", "") == "share":
        return "0.5"
    return "{}" if action.type is json.loads else "8" if action.type is not None else "text"


def _words(action):
    count = action.nargs if isinstance(action.nargs, int) else 1
    return [] if action.nargs == 0 else [_sample(action)] * count


def _forms(parser):
    """Each option in all of its forms, as words behind what the command cannot do without."""
    actions = [one for one in parser._actions if not isinstance(one, argparse._HelpAction)]
    positional = [one for one in actions if not one.option_strings]
    needed = [word for one in positional if one.nargs not in ("?", "*") for word in _words(one)]
    options = [one for one in actions if one.option_strings]
    for option in options:
        others = [
            word
            for other in options
            if other.required and other is not option
            for word in (other.option_strings[-1], *_words(other))
        ]
        for name in option.option_strings:
            values = [_words(option)]
            if option.nargs == "?":
                values.append([])
            if option.nargs in ("+", "*"):
                values.append(_words(option) * 2)
            for value in values:
                # The option comes last, so that it cannot take what follows.
                yield option, [*needed, *others, name, *value]


def _check_forms(parser, prefix=()):
    for option, words in _forms(parser):
        if isinstance(option, argparse._VersionAction) or option.dest is argparse.SUPPRESS:
            continue  # ends the process
        try:
            options = parser.parse_args(words)
        except SystemExit:
            pytest.fail(f"{parser.prog}: {' '.join(words)}")
        assert hasattr(options, option.dest) or option.default is argparse.SUPPRESS


@pytest.mark.parametrize("script", [*TOOLS, *PROJECTS])
def test_every_form_of_every_option_of_tools(parser_of, script):
    _check_forms(parser_of(script))


def test_every_form_of_every_option_of_the_command():
    for parser in _subcommands().values():
        _check_forms(parser)


def test_tiles_without_a_number(parser_of):
    parser = parser_of("trace-mm")
    for words, tile in ((["--tile"], "auto"), (["--tile", "auto"], "auto"), (["--tile", "8"], 8)):
        assert parser.parse_args(["edges", "photo.jpg", "--out", "o", *words]).tile == tile
    assert parser.parse_args(["edges", "--tile", "--out", "o", "photo.jpg"]).tile == "auto"


def test_the_size_of_objects(parser_of):
    words = ["edges", "photo.jpg", "--out", "o", "--object-size"]
    for text, size in (("auto", "auto"), ("9.5", 9.5)):
        assert parser_of("trace-mm").parse_args([*words, text]).object_size == size
    for wrong in ("0", "none"):
        with pytest.raises(SystemExit):
            parser_of("trace-mm").parse_args([*words, wrong])


def test_tools_end_through_the_wrapper():
    for script in [*TOOLS, *PROJECTS]:
        text = (ROOT / Path(script)).read_text(encoding="utf-8")
        assert "run_command(main)" in text.partition('if __name__ == "__main__":')[2], script
