"""What a person is told beside results: notes on stderr, for those who want any."""

import sys
from collections.abc import Callable

_quiet = False


def set_quiet(quiet: bool) -> None:
    """Whether this process leaves out notes and progress bars; errors and results stay."""
    global _quiet
    _quiet = quiet


def is_quiet() -> bool:
    """Whether notes and progress bars are left out."""
    return _quiet


def no_bar(show: bool = True) -> bool:
    """Whether a progress bar is left out, which a caller wants to ``show`` or not; for tqdm."""
    return _quiet or not show


def note(text: str) -> None:
    """Tell a person at the command line something that is no error, on a line of stderr."""
    if not _quiet:
        _tell(text)


def send_notes(tell: Callable[[str], None]) -> None:
    """Give this process's notes to somebody else than a person at its stderr."""
    global _tell
    _tell = tell


def _print(text: str) -> None:
    print(f"note: {text}", file=sys.stderr, flush=True)


_tell = _print
