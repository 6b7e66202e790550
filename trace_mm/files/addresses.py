"""Addresses of files: local paths, and objects of stores such as ``s3://bucket/name``."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

# A scheme has two letters at least: C:// is a drive of Windows.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_address(path: str | Path) -> bool:
    """Whether it has a scheme, such as ``s3://``, ``gs://``, ``memory://`` or ``https://``."""
    return isinstance(path, str) and _ADDRESS.match(path) is not None


def scheme_of(address: str) -> str:
    """Of an address, in lower case: ``s3``."""
    return address.partition("://")[0].lower()


def local_path(address: str | Path) -> Path | None:
    """The path of a local file, also if it is given as ``file://``; None if a store holds it."""
    if not is_address(address):
        return Path(address)
    if scheme_of(str(address)) != "file":
        return None
    parts = urlsplit(str(address))
    if parts.netloc not in ("", "localhost"):
        raise ValueError(f"{address}: of another machine; file:///folder/name is local")
    return Path(unquote(parts.path))


def join_address(folder: str | Path, *parts: str) -> str:
    """What lies in a folder, local or of a store.

    Args:
        folder: an address or a path.
        parts: names of folders and of the file, parted by ``/``.

    Raises:
        ValueError: if a part is empty or leads out of the folder.

    Examples:
        >>> join_address("s3://bucket/edges", "000001.tar")
        's3://bucket/edges/000001.tar'
    """
    for part in parts:
        if any(name in ("", ".", "..") for name in part.split("/")):
            raise ValueError(f"{part!r} names nothing within {folder}")
    if not is_address(folder):
        return str(Path(folder, *parts))
    top = str(folder)
    return (top if top.endswith("/") else f"{top}/") + "/".join(parts)


def name_in(address: str | Path) -> str:
    """The last part of an address or path: ``000001.tar``."""
    return (
        str(address).rstrip("/").rpartition("/")[2] if is_address(address) else Path(address).name
    )
