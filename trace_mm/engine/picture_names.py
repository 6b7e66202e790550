"""What the pictures of a test are called: no two images have one name."""

import os
import re
from collections.abc import Sequence
from pathlib import PurePath

from trace_mm.files import distinct_stems

# What some file systems do not take in a name, and the sign that is put in its place.
_ODD = re.compile(r'[%\\:*?"<>|\x00-\x1f]')


def name_of_id(image_id: object) -> str:
    """A path without suffix for the picture of an image, by the image's id.

    An id with slashes is a path within folders. What cannot be part of one, such as ``..``, is
    written in hexadecimal digits behind a %.
    """
    parts = str(image_id).split("/")
    return "/".join(_encoded(part, whole=part in ("", ".", "..")) for part in parts)


def flat_name_of_id(image_id: object) -> str:
    """The same as a name without folders, for what takes no path."""
    return name_of_id(image_id).replace("/", "%2F")


def names_of_paths(paths: Sequence[str]) -> dict[str, str]:
    """A path without suffix for the picture of each image, by the image's path.

    It is the image's own below the folder that all images have in common: the stem, if they lie in
    one folder. Images that differ in the suffix only keep it.
    """
    if not paths:
        return {}
    folder = os.path.commonpath([PurePath(path).parent for path in paths])
    names = {PurePath(path).relative_to(folder).as_posix(): path for path in paths}
    return {names[name]: stem for name, stem in distinct_stems(list(names)).items()}


def _encoded(part: str, whole: bool) -> str:
    if whole:
        return "%" + "".join(f"{byte:02X}" for byte in part.encode())
    return _ODD.sub(lambda found: f"%{ord(found[0]):02X}", part)
