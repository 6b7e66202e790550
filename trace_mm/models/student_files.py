"""What a student's checkpoint says, read without torch: its description, backbone and digest."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from safetensors import SafetensorError, deserialize, safe_open

from trace_mm.catalogue import CATALOGUE
from trace_mm.diffusion.pretrained import resolve_pretrained, shipped_students

WEIGHTS_FILE = "student.safetensors"
"""Name of the file in a folder that holds a student."""

DESCRIPTION = "_extra_state"
"""Where a student's state dict describes it: torch's name for what is neither weight nor buffer."""

FORMAT = 1
"""Of the description."""

_FSDP = "_fsdp_wrapped_module."  # FSDP puts it into names
_DTYPES = {  # of torch, by how safetensors calls them
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
_Weight = tuple[str, tuple[int, ...], bytes]
"""Its dtype in torch, its shape, and its values as they lie in memory."""


def read_description(path: str | Path) -> dict[str, Any]:
    """What a student's checkpoint says of itself, see ``StudentState``; weights are left unread.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or not a student's; names it.
    """
    file = student_file(path)
    if file.suffix != ".safetensors":
        from trace_mm.models.student_state import unpack_description
        from trace_mm.models.student_weights import read_student

        return unpack_description(read_student(file))
    with named_errors(file):
        return check_description(read_metadata(file))


def trained_dtype(path: str | Path) -> str:
    """The dtype that a student's denoiser computed in when it was trained.

    Returns:
        ``"float32"`` or another; float32 of files that do not say.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or not a student's; names it.
    """
    return described_dtype(read_description(path))


def described_dtype(description: Mapping[str, Any]) -> str:
    """The dtype of :func:`trained_dtype`, of a description."""
    dtype: str = description["backbone"].get("dtype", "float32")
    return dtype


def student_fingerprint(path: str | Path) -> str:
    """A digest of what a checkpoint's student predicts with: its weights and its options.

    Returns:
        16 hexadecimal digits, the same for a ``.pth`` and a ``.safetensors`` of the same weights.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or not a student's; names it.
    """
    file = student_file(path)
    description = read_description(file)
    digest = hashlib.sha256(json.dumps(description["student"], sort_keys=True).encode())
    weights = _stored_weights(file) if file.suffix == ".safetensors" else _loaded_weights(file)
    for name in sorted(weights):
        dtype, shape, values = weights[name]
        digest.update(f"{name} torch.{dtype} {shape}\0".encode())
        digest.update(values)
    return digest.hexdigest()[:16]


def _stored_weights(file: Path) -> dict[str, _Weight]:
    with named_errors(file):
        stored = dict(deserialize(file.read_bytes()))
    if any(weight["dtype"] not in _DTYPES for weight in stored.values()):
        return _loaded_weights(file)
    return {
        name: (_DTYPES[stored[name]["dtype"]], tuple(stored[name]["shape"]), stored[name]["data"])
        for name in stored.keys() - backbone_names(stored)
    }


def _loaded_weights(file: Path) -> dict[str, _Weight]:
    import torch

    from trace_mm.models.student_weights import read_student
    from trace_mm.ops.dtypes import dtype_name

    return {
        name: (
            dtype_name(value.dtype),
            tuple(value.shape),
            value.contiguous().flatten().view(torch.uint8).numpy().tobytes(),
        )
        for name, value in read_student(file).items()
        if name != DESCRIPTION
    }


def student_backbone(path: str | Path, **options: Any) -> dict[str, Any]:
    """Arguments of :func:`trace_mm.diffusion.load_backbone` for the backbone of a checkpoint.

    Args:
        path: a file or folder of a student.
        options: that are used instead. Without ``pretrained``, it is the name from training, which
            works for shipped names and hub ids, or for a merged student the folder it lies in.

    Returns:
        ``pretrained`` (a folder or hub id), ``revision``, ``layers`` and the given options.

    Raises:
        FileNotFoundError: if there is no such checkpoint or no such backbone.
        ValueError: if the checkpoint is damaged, or merged and another backbone is given; names it.
    """
    description = read_description(path)
    trained_on = description["backbone"]
    name, revision = trained_on["name"], trained_on["revision"]
    if "merged" in description:
        name, revision = str(student_file(path).parent), None
        if str(options.get("pretrained", name)) != name:
            # Its fine-tuned backbone may look much like the original, but is another.
            raise ValueError(
                f"{path} has its backbone in it, {trained_on['name']!r}: no other can be named"
            )
    wanted = str(options.get("pretrained", name))
    try:
        if "pretrained" not in options and wanted in CATALOGUE:  # else it would be its hub id
            raise FileNotFoundError(f"{wanted} was a local folder")
        pretrained = resolve_pretrained(wanted)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{path} belongs to backbone {trained_on['name']!r}, and {error}; "
            "name its folder or hub id (backbone=..., --backbone)"
        ) from error
    return {
        "revision": revision if wanted == name else None,
        "layers": f"^({'|'.join(map(re.escape, trained_on['layers']))})$",
        **options,
        "pretrained": pretrained,
    }


def student_file(path: str | Path) -> Path:
    """The file of a checkpoint that a file, a folder or a shipped name means.

    Raises:
        FileNotFoundError: if there is none.
    """
    file = shipped_students().get(str(path), Path(path).expanduser())
    file = file / WEIGHTS_FILE if file.is_dir() else file
    if not file.is_file():
        raise FileNotFoundError(f"there is no checkpoint {file}")
    return file


@contextmanager
def named_errors(file: Path) -> Iterator[None]:
    """Within this context errors of reading are such that name the file."""
    try:
        yield
    except (SafetensorError, UnpicklingError, RuntimeError, ValueError, EOFError) as error:
        raise ValueError(f"{file} is damaged or not a student's checkpoint: {error}") from error


def read_metadata(file: Path) -> Any:
    """The description in a ``.safetensors`` file, as it is; empty if there is none."""
    with safe_open(file, framework="np") as stored:
        return json.loads((stored.metadata() or {}).get("trace_mm", "{}"))


def check_description(description: Any) -> dict[str, Any]:
    """A description, if it is one that can be read.

    Raises:
        ValueError: if it is of another format.
    """
    if description.get("format") != FORMAT:
        raise ValueError(
            f"these weights are of format {description.get('format')}, "
            f"this version of trace_mm reads format {FORMAT}"
        )
    found: dict[str, Any] = description
    return found


def backbone_names(names: Iterable[str], prefix: str = "") -> set[str]:
    """Those names in a student's state dict that are of the frozen backbone.

    Args:
        names: of weights.
        prefix: of the student's names; others are left alone.
    """
    found = set()
    for name in names:
        own = name.removeprefix(prefix).replace(_FSDP, "")
        is_trained = own.startswith("decoder.") or ".lora_" in own or own == DESCRIPTION
        if name.startswith(prefix) and not is_trained:
            found.add(name)
    return found
