"""All files below a folder of a store, a page of its listing at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from trace_mm.files.atomic import TEMPORARY_SUFFIX
from trace_mm.files.file_systems import is_s3
from trace_mm.files.retries import persistently
from trace_mm.files.store_paths import StorePath
from trace_mm.files.stores import FileState, list_entries, state_in

PAGE = 1000
"""Files that S3 tells of at a time, at most."""


def walk_store(folder: str) -> Iterator[tuple[str, StorePath]]:
    """The files of a folder of a store and its subfolders.

    Hidden files and folders, and what is still being written, are left out. Of S3, ``PAGE`` files
    come with each request and are all that is held; of others, a folder.

    Args:
        folder: its address. There is none if there is no such folder.

    Yields:
        A file's path within the folder, and the file with its state, if the listing tells it; in an
        order that is always the same.

    Raises:
        OSError: if the folder cannot be listed; names it.
        ValueError: if a file's name is none for results; names it.
    """
    top = folder if folder.endswith("/") else f"{folder}/"
    entries = _pages_of_s3(top) if is_s3(top) else _folders(top, "")
    for name, info in entries:
        parts = name.split("/")
        if any(part.startswith(".") and part not in (".", "..") for part in parts):
            continue
        if parts[-1].endswith(TEMPORARY_SUFFIX):
            continue
        state = state_in(info)
        known = state.size is not None or bool(state.version)
        yield name, StorePath(top + name, state if known else None)


def entries_in(folder: str) -> dict[str, FileState]:
    """What lies in a folder of a store, files and folders, by name; nothing if it is not there.

    Raises:
        OSError: if it cannot be listed; names it.
    """
    listed = persistently(folder, "listed", list_entries)
    return {name: state_in(info) for name, info in listed}


def _folders(top: str, inside: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, info in sorted(persistently(top + inside, "listed", list_entries), key=_name):
        if info["type"] == "file":
            yield inside + name, info
        elif not name.startswith("."):
            yield from _folders(top, f"{inside}{name}/")


def _name(entry: tuple[str, dict[str, Any]]) -> str:
    return entry[0]


@dataclass(frozen=True)
class _Page:
    """A part of a listing, and where the next begins, if there is one."""

    entries: list[tuple[str, dict[str, Any]]]
    following: str | None


def _pages_of_s3(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    token: str | None = None
    while True:
        page = persistently(folder, "listed", partial(_page, token=token))
        yield from page.entries
        token = page.following
        if token is None:
            return


def _page(system: Any, path: str, token: str | None) -> _Page:
    # Not by ls(), which gathers all pages of a folder, and needs a request for each.
    bucket, key, _ = system.split_path(path)
    prefix = f"{key.rstrip('/')}/" if key else ""
    more = {} if token is None else {"ContinuationToken": token}
    answer = system.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=PAGE, **more)
    entries = [
        (one["Key"].removeprefix(prefix), {**one, "size": one["Size"]})
        for one in answer.get("Contents", [])
        if not one["Key"].endswith("/")  # a folder that somebody has made an object of
    ]
    return _Page(entries, answer.get("NextContinuationToken"))
