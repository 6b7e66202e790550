"""The option ``--cfg-options`` of tools that take a config."""

import argparse
from typing import Any


class _Settings(argparse.Action):
    """Settings by name; what is no ``KEY=VALUE`` ends the process, as other bad options do."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        from mmengine.config import DictAction  # slow to import, which helps need not

        settings = dict(getattr(namespace, self.dest) or {})
        for text in values or ():
            name, equals, value = text.partition("=")
            if not name or not equals:
                parser.error(f"{option_string}: {text!r} is not KEY=VALUE")
            try:
                settings[name] = DictAction._parse_iterable(value)
            except (AssertionError, ValueError):
                parser.error(f"{option_string}: {name}: cannot read the value {value!r}")
        setattr(namespace, self.dest, settings)


def add_config_options(parser: argparse.ArgumentParser, hint: str = "") -> None:
    """Add ``--cfg-options``, for :func:`trace_mm.engine.runner_config.read_config`.

    Args:
        parser: of the tool.
        hint: what the help says besides, such as examples.
    """
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=_Settings,
        default={},
        metavar="KEY=VALUE",
        help=f"override settings of the config{hint}",
    )
