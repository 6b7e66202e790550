"""Reader of IRN's instances, which are pickled."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.files import SizeEvidence
from trace_mm.files.json_values import describe
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.refinement.readers.base import BadMaskError, MaskReader, MaskRecord, MaskStack, OnBad
from trace_mm.refinement.readers.source import MaskSource

PICKLE_RISK = (
    "can only be read by unpickling, which may run code that is hidden in the file. If you trust "
    "its source, allow it with --allow-pickle"
)

# What arrays are made of in pickles of all versions of numpy.
_ALLOWED = {
    (f"numpy.{core}.{module}", name)
    for core in ("core", "_core")
    for module, name in (
        ("multiarray", "_reconstruct"),
        ("multiarray", "scalar"),
        ("numeric", "_frombuffer"),
    )
} | {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}


class IrnReader(MaskReader):
    """IRN: ``<stem>.npy`` with a dict of ``score`` (N,), ``mask`` (N, H, W) and ``class`` (N,).

    IRN counts classes from 0; labels are 1 more, as in VOC, where 0 is background. Fragments have
    score 0 and are read like all others. The files are pickles and are only opened with
    ``allow_pickle``; even then nothing but numpy arrays is unpickled. See ``MaskReader``.
    """

    suffix = ".npy"

    @classmethod
    def recognizes(cls, source: MaskSource) -> bool:
        """Whether it is a file or a folder of files ``.npy``."""
        return source.path.suffix.lower() == ".npy" or bool(source.files(".npy"))

    def _index(self, source: MaskSource) -> list[MaskRecord]:
        files = [source.path / name for name in source.files(".npy")]
        if source.is_folder and not files:
            raise ValueError(f"{source.path}: there is no .npy file in this folder")
        files = files or [source.path]
        if not self.allow_pickle:
            raise ValueError(f"{files[0]}: {PICKLE_RISK}")
        return [MaskRecord(file.stem, None, file) for file in files]

    def _read(
        self, record: MaskRecord, size: tuple[int, int], on_bad: OnBad | None
    ) -> InstanceMasks:
        path: Path = record.content
        if not self.allow_pickle:
            raise BadMaskError(f"{path}: {PICKLE_RISK}")
        content = unpickle_dict(path)
        masks, scores, classes = (_array(content, key, path) for key in ("mask", "score", "class"))
        count = len(masks) if masks.ndim else 0
        if masks.shape != (count, *size):
            raise BadMaskError(f"{path}: 'mask' is {masks.shape}, but the image {size} (H, W)")
        if scores.shape != (count,) or classes.shape != (count,):
            raise BadMaskError(
                f"{path}: there are {count} masks, but 'score' is {scores.shape} and 'class' "
                f"{classes.shape}"
            )
        try:
            stack = MaskStack(count, size)
        except ValueError as error:
            raise BadMaskError(f"{path}: {error}") from error
        for index in range(count):
            try:
                score, label = _score_and_label(scores[index], classes[index])
            except ValueError as error:
                bad = BadMaskError(f"{path}: mask {index}: {error}")
                if on_bad is None:
                    raise bad from error
                on_bad(bad)
            else:
                stack.add(masks[index] != 0, label, score)
        return stack.instances(scored=True)

    def _evidence(self, record: MaskRecord) -> SizeEvidence:
        if not self.allow_pickle:
            return SizeEvidence()
        try:
            masks = _array(unpickle_dict(record.content), "mask", record.content)
        except BadMaskError:
            return SizeEvidence()
        return SizeEvidence([masks.shape[1:]] if masks.ndim == 3 else [])


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles numpy arrays in plain containers, and refuses all else before it is touched."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no part of an array")
        return super().find_class(module, name)


def unpickle_dict(path: Path) -> dict[Any, Any]:
    """The dict that ``numpy.save`` has pickled into a ``.npy`` file.

    Raises:
        BadMaskError: if there is anything else in it; names the file.
    """
    try:
        stream = io.BytesIO(path.read_bytes())
        version = np.lib.format.read_magic(stream)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        _, _, dtype = read_header(stream)
        content = _ArrayUnpickler(stream).load() if dtype.hasobject else None
        content = content.item() if isinstance(content, np.ndarray) else None
    except Exception as error:  # damaged pickles raise all kinds, some without a word
        cause = str(error) or type(error).__name__
        raise BadMaskError(f"{path}: cannot be unpickled: {cause}") from error
    if not isinstance(content, dict):
        raise BadMaskError(f"{path}: holds no dict of 'score', 'mask' and 'class'")
    return content


def _array(content: dict[Any, Any], key: str, path: Path) -> NDArray[Any]:
    value = content.get(key)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        raise BadMaskError(f"{path}: {key!r} must be an array of numbers, got {describe(value)}")
    return value


def _score_and_label(score: Any, kind: Any) -> tuple[float, int]:
    number, label = float(score), float(kind)
    if not np.isfinite(number):
        raise ValueError(f"its score is {number}")
    if label != np.floor(label) or not 0 <= label < 2**31 - 1:  # also true for nan
        raise ValueError(f"its class is {label}")
    return number, int(label) + 1
