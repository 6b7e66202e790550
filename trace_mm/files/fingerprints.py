"""Whether files are still what they were when a run began."""

import hashlib
from pathlib import Path


def fingerprint(path: Path) -> str:
    """A digest that changes with a file's content, or with the files of a folder.

    Of a folder, the names, sizes and modification times of all files in it count, since reading
    them could take hours.

    Raises:
        FileNotFoundError: if there is no such path.
    """
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(entry for entry in path.rglob("*") if entry.is_file()):
            state = file.stat()
            name = file.relative_to(path).as_posix()
            digest.update(f"{name!r} {state.st_size} {state.st_mtime_ns}\n".encode())
        return digest.hexdigest()
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()
