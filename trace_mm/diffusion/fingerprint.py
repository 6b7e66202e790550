"""What identifies the weights of a backbone, wherever they lie."""

import hashlib
from pathlib import Path

STUDENT_FOLDER = "student"
"""In a backbone's folder: the student that belongs to it."""

_HASHED_WHOLE = 64 << 20  # larger files are identified by their size


def weights_fingerprint(folder: Path) -> str:
    """A digest of what a model folder holds; of very large files only the size counts.

    Args:
        folder: with ``*.json`` and ``*.safetensors`` files, at any depth. A student in its
            subfolder ``student`` is not part of the model.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.json")) + sorted(folder.rglob("*.safetensors")):
        if path.relative_to(folder).parts[0] == STUDENT_FOLDER:
            continue
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()} {size}\0".encode())
        if size <= _HASHED_WHOLE:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
