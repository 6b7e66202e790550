"""Configs by name: those of this package need no path, on the command line or as a base."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from mmengine.config import Config

_PACKAGE = Path(__file__).parents[1]
_BASES = "_base_"  # parts of configs, which are none by themselves
_SCOPE = "trace_mm::"
_RENAMED = {"cutler_trace_": "cutler-test-time_trace_"}  # what names began with, and begin with now


def config_folder() -> Path:
    """Where the configs are: in the package if it is installed, beside it in a checkout.

    Raises:
        FileNotFoundError: if they are in neither.
    """
    inside, beside = _PACKAGE / "configs", _PACKAGE.parent / "configs"
    if inside.is_dir():
        return inside
    if beside.is_dir() and (_PACKAGE.parent / "pyproject.toml").is_file():
        return beside
    raise FileNotFoundError(f"{inside}: the configs of this package are missing: install it again")


def config_names() -> list[str]:
    """All configs as ``folder/name``, sorted."""
    folder = config_folder()
    names = (path.relative_to(folder).with_suffix("") for path in folder.rglob("*.py"))
    return sorted(name.as_posix() for name in names if name.parts[0] != _BASES)


def find_config(name: str | os.PathLike[str]) -> Path:
    """The file of a config.

    Args:
        name: path of a file, or a config of this package: its name, with or without its folder and
            ``.py``.

    Raises:
        FileNotFoundError: if there is none; says which may have been meant.
        ValueError: if configs in two folders have the name.
    """
    path = Path(name)
    return path if path.is_file() else _named(path.as_posix().removeprefix("configs/"), str(name))


def read_config_file(path: str | os.PathLike[str]) -> Config:
    """``Config.fromfile`` for a file whose bases may be configs of this package, by their names.

    Such a base is ``_base_ = "trace_mm::trace/NAME.py"``, in a file of any place.
    """
    with _bases_by_name():
        return Config.fromfile(os.fspath(path))


def base_file(base: str, path: str | os.PathLike[str]) -> Path:
    """The file of a base, which need not be there, as the config file ``path`` calls it.

    Raises:
        FileNotFoundError: if it should be one of this package, and there is none of this name.
    """
    if not base.startswith(_SCOPE):
        return Path(path).parent / base
    name = base.removeprefix(_SCOPE)
    part = config_folder() / name
    return part if part.is_file() else _named(name, base)


@contextmanager
def _bases_by_name() -> Iterator[None]:
    """Within this context, MMEngine finds bases of this package, as it does those of its own."""
    before = Config._get_cfg_path

    def find(base: str, filename: str) -> tuple[str, str | None]:
        if base.startswith(_SCOPE):
            return str(base_file(base, filename)), None
        found: tuple[str, str | None] = before(base, filename)
        return found

    Config._get_cfg_path = staticmethod(find)
    try:
        yield
    finally:
        Config._get_cfg_path = staticmethod(before)


def _named(name: str, called: str) -> Path:
    """The file of a config of this package; errors say what it was called."""
    wanted, names = name.removesuffix(".py"), config_names()
    found = [one for one in names if wanted in (one, PurePosixPath(one).name)]
    if len(found) > 1:
        raise ValueError(f"{called}: there are several of this name: {' and '.join(found)}")
    if not found:
        raise FileNotFoundError(f"{called}: no such config{_meant(wanted, names)}")
    return config_folder() / f"{found[0]}.py"


def _meant(wanted: str, names: list[str]) -> str:
    """What a name that there is not may have been meant for, or has become."""
    by_name = {PurePosixPath(one).name: one for one in names}
    name = PurePosixPath(wanted).name
    for old, new in _RENAMED.items():
        now = name.replace(old, new, 1)
        if name.startswith(old) and now in by_name:
            return f": it is now {by_name[now]}"
    near = get_close_matches(name, list(by_name), n=3, cutoff=0.7)
    return f": did you mean {' or '.join(by_name[one] for one in near)}?" if near else ""
