"""Files of students: writing, reading, and building a student from one."""

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from trace_mm.catalogue import CATALOGUE
from trace_mm.diffusion import open_model, resolve_pretrained, shipped_students
from trace_mm.files import write_atomically
from trace_mm.models.student_state import (
    DESCRIPTION,
    StudentState,
    drop_backbone,
    pack_description,
    unpack_description,
)
from trace_mm.registry import MODELS

WEIGHTS_FILE = "student.safetensors"
"""Name of the file in a folder that holds a student."""


def save_student(model: nn.Module, path: str | Path, dtype: torch.dtype | None = None) -> Path:
    """Write LoRA, decoder and description to a file, which is then all there or as it was.

    Args:
        model: a ``TraceStudent``; may be wrapped for distributed training, but not sharded.
        path: a file that ends in ``.safetensors`` or ``.pth``; anything else is a folder, for a
            file ``student.safetensors`` in it.
        dtype: to which weights are rounded, such as ``torch.float16`` for a file of half the size;
            none are if None. Any student can load them.

    Returns:
        The file.

    Raises:
        ValueError: if LoRA is merged already, so that it cannot be saved.
    """
    from mmengine.model import is_model_wrapper  # slow to import

    student: Any = model.module if is_model_wrapper(model) else model
    return write_student(student.state_dict(), path, dtype)


def write_student(
    state: Mapping[str, Any], path: str | Path, dtype: torch.dtype | None = None
) -> Path:
    """Write the state dict of a student; see :func:`save_student`."""
    state = {name: _prepare(value, dtype) for name, value in state.items()}
    file = Path(path).expanduser()
    if file.suffix == ".pth":
        buffer = io.BytesIO()
        torch.save({"state_dict": state}, buffer)
        write_atomically(file, buffer.getvalue())
        return file
    file = file if file.suffix == ".safetensors" else file / WEIGHTS_FILE
    metadata = {"format": "pt", "trace_mm": json.dumps(unpack_description(state))}
    del state[DESCRIPTION]
    write_atomically(file, safetensors.torch.save(state, metadata))
    return file


def read_student(path: str | Path) -> dict[str, Any]:
    """The state dict in a student's checkpoint, on the CPU. No code in the file is run.

    Args:
        path: a file or folder that :func:`save_student` wrote, a ``.pth`` file of MMEngine's, or
            the name of a shipped student.

    Returns:
        Tensors by name; :func:`~trace_mm.models.student_state.unpack_description` says what they
        are.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or not a student's; names it.
    """
    file = _student_file(path)
    with _named_errors(file):
        if file.suffix == ".safetensors":
            state = safetensors.torch.load_file(file)
            state[DESCRIPTION] = pack_description(_read_metadata(file))
        else:
            checkpoint = _read_pickle(file)
            state = dict(checkpoint.get("state_dict", checkpoint))
        unpack_description(state)
        drop_backbone(state)
    return state


def read_description(path: str | Path) -> dict[str, Any]:
    """What a student's checkpoint says of itself, see ``StudentState``; weights are left unread.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or not a student's; names it.
    """
    file = _student_file(path)
    if file.suffix != ".safetensors":
        return unpack_description(read_student(file))
    with _named_errors(file):
        return unpack_description({DESCRIPTION: pack_description(_read_metadata(file))})


def trained_dtype(path: str | Path) -> str:
    """The dtype that a student's denoiser computed in when it was trained.

    Returns:
        ``"float32"`` or another; float32 of files that do not say.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or not a student's; names it.
    """
    return _trained_dtype(read_description(path))


def _trained_dtype(description: Mapping[str, Any]) -> str:
    dtype: str = description["backbone"].get("dtype", "float32")
    return dtype


def read_training_config(path: str | Path) -> str | None:
    """The text of the config that MMEngine trained a student with; None if the file has none.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged; names it.
    """
    file = _student_file(path)
    if file.suffix == ".safetensors":
        return None
    with _named_errors(file):
        meta = _read_pickle(file).get("meta")
    config = meta.get("cfg") if isinstance(meta, dict) else None
    return config if isinstance(config, str) else None


def student_fingerprint(path: str | Path) -> str:
    """A digest of what a checkpoint's student predicts with: its weights and its options.

    Returns:
        16 hexadecimal digits, the same for a ``.pth`` and a ``.safetensors`` of the same weights.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or not a student's; names it.
    """
    state = read_student(path)
    options = unpack_description(state)["student"]
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    for name in sorted(state.keys() - {DESCRIPTION}):
        value = state[name].contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\0".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def load_student_weights(model: StudentState, path: str | Path) -> None:
    """Load a checkpoint into a student that is built alike, on the same backbone.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, or of another student or backbone; names the file.
    """
    state = read_student(path)
    try:
        model.load_state_dict(state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def build_student(
    path: str | Path,
    backbone: Mapping[str, Any] | None = None,
    merge: bool = True,
    **options: Any,
) -> Any:
    """Build the student that a checkpoint describes, with its weights.

    Args:
        path: a file or folder that :func:`save_student` wrote, a ``.pth`` file of MMEngine's, or
            the name of a shipped student.
        backbone: arguments of :func:`trace_mm.diffusion.load_backbone`, instead of those of
            :func:`student_backbone`. Without a ``dtype``, that of the training.
        merge: put LoRA into the denoiser's weights, to predict as fast as a plain pass, without
            peft.
        options: of ``TraceStudent``, instead of those in the checkpoint.

    Returns:
        A ``TraceStudent`` in evaluation.

    Raises:
        FileNotFoundError: if there is no such checkpoint or backbone.
        ValueError: if the checkpoint is damaged or of another backbone; names it.
    """
    state = read_student(path)
    description = unpack_description(state)
    source = {"dtype": _trained_dtype(description), **student_backbone(path, **(backbone or {}))}
    _check_kind(path, description["backbone"], source)
    config = {**description["student"], **options, "type": "TraceStudent"}
    if merge:
        config["lora"] = None
    student = MODELS.build({**config, "backbone": source})
    try:
        (student.load_merged if merge else student.load_state_dict)(state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return student.eval()


def _check_kind(path: str | Path, trained_on: dict[str, Any], source: dict[str, Any]) -> None:
    """Refuse a backbone of another kind before its weights are loaded."""
    local = bool(source.get("local_files_only"))
    found = open_model(source["pretrained"], source.get("revision"), local).family.denoiser
    wanted = trained_on["denoiser"]["class"]
    if found != wanted:
        raise ValueError(
            f"{path} belongs to backbone {trained_on['name']!r}, a {wanted}; "
            f"{source['pretrained']} is a {found}"
        )


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
        name, revision = str(_student_file(path).parent), None
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


def _student_file(path: str | Path) -> Path:
    file = shipped_students().get(str(path), Path(path).expanduser())
    file = file / WEIGHTS_FILE if file.is_dir() else file
    if not file.is_file():
        raise FileNotFoundError(f"there is no checkpoint {file}")
    return file


@contextmanager
def _named_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, UnpicklingError, RuntimeError, ValueError, EOFError) as error:
        raise ValueError(f"{file} is damaged or not a student's checkpoint: {error}") from error


def _prepare(value: Tensor, dtype: torch.dtype | None) -> Tensor:
    rounded = dtype if value.is_floating_point() else None
    return value.detach().to("cpu", rounded or value.dtype).contiguous()


def _read_metadata(file: Path) -> Any:
    with safe_open(file, framework="pt") as stored:
        return json.loads((stored.metadata() or {}).get("trace_mm", "{}"))


class _Skipped:
    """Stands for an object beside the weights, of which nothing is used."""

    def __init__(self, *arguments: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


# MMEngine's checkpoints hold the log's history, numbers in numpy arrays of several versions. Read
# as they are they would need getattr, which should not be let loose on files from elsewhere.
_SKIPPED_NAMES = (
    "builtins.getattr",
    "mmengine.logging.history_buffer.HistoryBuffer",
    "numpy.ndarray",
    "numpy.dtype",
    *(
        f"numpy.{core}.multiarray.{name}"
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    ),
)


def _read_pickle(file: Path) -> dict[str, Any]:
    with torch.serialization.safe_globals([(_Skipped, name) for name in _SKIPPED_NAMES]):
        checkpoint: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    return checkpoint
