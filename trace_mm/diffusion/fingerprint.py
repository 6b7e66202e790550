"""What identifies the weights of a backbone, wherever they lie."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

STUDENT_FOLDER = "student"
"""In a backbone's folder: the student that belongs to it."""

_HASHED_WHOLE = 64 << 20  # larger files take too long to read on each start
_BLOCK = 1 << 20
_BLOCKS = 32  # read of a larger file


def weights_fingerprint(folder: Path) -> str:
    """A digest of what a model folder holds, which changes when its weights are replaced.

    Files of up to 64 MiB are read whole. Of larger ones the size counts, and 32 blocks of 1 MiB
    from the first to the last, evenly spread: other weights are noticed, a change that lies
    between two blocks is not.

    Args:
        folder: with ``*.json``, ``*.safetensors`` and ``*.bin`` files, at any depth. A student in
            its subfolder ``student`` is not part of the model.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for kind in ("*.json", "*.safetensors", "*.bin"):
        for path in sorted(folder.rglob(kind)):
            name = path.relative_to(folder)
            if name.parts[0] == STUDENT_FOLDER or path.is_dir():
                continue
            digest.update(f"{name.as_posix()} {path.stat().st_size}\0".encode())
            for content in _read(path):
                digest.update(content)
    return digest.hexdigest()[:16]


def file_fingerprint(path: Path) -> str:
    """A digest of one file of weights, read as :func:`weights_fingerprint` reads those of a folder.

    Its name does not count.

    Args:
        path: of a file of any kind, such as a ``checkpoint`` for a timm model.

    Returns:
        16 hexadecimal digits.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    digest = hashlib.sha256(f"{path.stat().st_size}\0".encode())
    for content in _read(path):
        digest.update(content)
    return digest.hexdigest()[:16]


def _read(path: Path) -> Iterator[bytes]:
    """All of a file, or blocks of a large one, the first and the last among them."""
    size = path.stat().st_size
    if size <= _HASHED_WHOLE:
        yield path.read_bytes()
        return
    with path.open("rb") as stream:
        for number in range(_BLOCKS):
            stream.seek(number * (size - _BLOCK) // (_BLOCKS - 1))
            yield stream.read(_BLOCK)
