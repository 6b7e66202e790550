"""What all command lines have in common: hints on misspelt words, one line for what went wrong."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path
from typing import Any, TextIO

from trace_mm.console import set_quiet
from trace_mm.runs.memory import lacks_memory
from trace_mm.runs.summary import DONE, INTERRUPTED, SOME_FAILED, UNUSABLE_INPUT

EXIT_STATUS = (
    "exit status: 0 all done, 1 some images failed or a result could not be written, "
    "2 unusable input"
)


class _Quiet(argparse.Action):
    """Makes the process quiet as soon as the option is seen."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        set_quiet(True)


class Parser(argparse.ArgumentParser):
    """A parser with ``--quiet``, which says which word may have been meant by a misspelt one."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.add_argument(
            "--quiet",
            action=_Quiet,
            help="write neither progress bars nor notes, only errors and the results",
        )

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; an unknown option ends the process, before it is missed as a required one."""
        words = sys.argv[1:] if args is None else list(args)
        if any(isinstance(action, argparse._SubParsersAction) for action in self._actions):
            self._check_options(list(takewhile(lambda word: word.startswith("-"), words)))
        else:
            self._check_options(words)
        return super().parse_known_args(words, namespace)

    def _check_options(self, words: Sequence[str]) -> None:
        """End the process if a word is like an option, but is none."""
        known = [name for name in self._option_string_actions if name.startswith("--")]
        for word in words:
            if word == "--":
                return
            name = word.partition("=")[0]
            if name.startswith("--") and not any(option.startswith(name) for option in known):
                names = [option.removeprefix("--") for option in known]
                near = get_close_matches(name.removeprefix("--"), names, n=1)
                hint = f": did you mean --{near[0]}?" if near else ""
                self.error(f"unrecognized option {name}{hint}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        near = get_close_matches(str(value), choices, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise argparse.ArgumentError(
            action, f"invalid choice: {value!r} ({hint}choose from {', '.join(choices)})"
        )


class Listed:
    """A part of a help message that is made when it is shown, as an attribute of its action.

    Args:
        make: what it says.
    """

    def __init__(self, make: Callable[[], Sequence[str]]) -> None:
        self._make = make

    def __str__(self) -> str:
        return ", ".join(self._make())


def run_command(main: Callable[[], int | None], name: str | None = None) -> int:
    """Call the main function of a command; what goes wrong with its input is one line on stderr.

    Args:
        main: returns the exit status; None is 0.
        name: of the command; that of the script if None.

    Returns:
        The exit status: 0 done, 1 some of the work failed or a result could not be written, 2
        unusable input, 130 interrupted. Errors of other kinds are faults of the program, and are
        raised.
    """
    name = name or Path(sys.argv[0]).stem
    set_quiet(False)  # until the option is seen
    with _printable(sys.stdout), _printable(sys.stderr):
        try:
            return main() or DONE
        except KeyboardInterrupt as stop:
            # A command that is not just called again to go on says so itself.
            message = str(stop) or "interrupted; the same command goes on where it stopped"
            status = INTERRUPTED
        except (ValueError, FileNotFoundError, ImportError) as error:
            message, status = str(error), UNUSABLE_INPUT
        except OSError as error:
            message, status = str(error), SOME_FAILED
        except (RuntimeError, MemoryError) as error:
            if not lacks_memory(error):
                raise
            message = "out of memory: try a smaller batch (--batch-size), a smaller --size, or"
            message, status = f"{message} --tile", SOME_FAILED
        print(f"{name}: error:", " ".join(message.splitlines()), file=sys.stderr)
        return status


@contextmanager
def _printable(stream: TextIO) -> Iterator[None]:
    """Within this context, what a stream cannot show, such as odd bytes of names, is escaped."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is None:
        yield
        return
    before = stream.errors
    reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        reconfigure(errors=before)
