"""Reader of numbers of instances, as SSA, COIN, HoVer-Net and others for cells write them."""

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from numpy.typing import NDArray

from trace_mm.files import SizeEvidence
from trace_mm.files.id_maps import read_id_map
from trace_mm.files.map_pixels import ids_in
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.refinement.readers.base import (
    BadMaskError,
    MaskReader,
    MaskRecord,
    OnBad,
    as_bad_masks,
    masks_of_ids,
)
from trace_mm.refinement.readers.source import MaskSource

_SUFFIXES = (".npy", ".mat", ".png")
_KEY = "inst_map"  # HoVer-Net's name, in .mat files
_LARGEST = 2**31 - 1


class InstanceMapReader(MaskReader):
    """Numbers of instances: ``<stem>.npy``, ``.mat`` or ``.png``, 0 background, all of one class.

    ``.npy`` holds an array (H, W) of whole numbers. ``.mat`` holds it as ``inst_map``, as of
    HoVer-Net, or as its only array (H, W). ``.png`` is grey, or colours R + 256 G + 65536 B; COIN's
    scripts write 256 times the number so, for SSA as well. No number means void. See
    ``MaskReader``.
    """

    @classmethod
    def recognizes(cls, source: MaskSource) -> bool:
        """Whether the folder's first file is a ``.mat``, or an array of numbers in ``.npy``.

        PNG files are left to the readers of other maps.
        """
        if source.files(".mat"):
            return True
        return any(_is_map(source.path / name) for name in source.files(".npy")[:1])

    def _index(self, source: MaskSource) -> list[MaskRecord]:
        found = {suffix: source.files(suffix) for suffix in _SUFFIXES}
        used = [suffix for suffix, names in found.items() if names]
        if len(used) != 1:
            kinds = " and ".join(used) or "none"
            raise ValueError(
                f"{source.path}: a folder of instance maps holds files {', '.join(_SUFFIXES)} of "
                f"one kind, but this has {kinds}"
            )
        self.suffix = used[0]  # by which is told what is passed over
        return [MaskRecord(Path(name).stem, None, source.path / name) for name in found[used[0]]]

    def _read(
        self, record: MaskRecord, size: tuple[int, int], on_bad: OnBad | None
    ) -> InstanceMasks:
        with as_bad_masks():
            ids = read_instance_map(record.content)
        if ids.shape != size:
            raise BadMaskError(
                f"{record.content}: is {ids.shape} (H, W), but the image is {tuple(size)}"
            )
        values = [value for value in ids_in(ids) if value]
        try:
            return masks_of_ids(ids, values, [1] * len(values))
        except ValueError as error:
            raise BadMaskError(f"{record.content}: {error}") from error

    def _evidence(self, record: MaskRecord) -> SizeEvidence:
        try:
            shape = read_instance_map(record.content).shape
        except (ValueError, OSError):  # reading it says so
            return SizeEvidence()
        return SizeEvidence([(shape[0], shape[1])])


def read_instance_map(path: Path) -> NDArray[np.int32]:
    """The numbers of instances (H, W) that a file holds; see ``InstanceMapReader``.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, or holds no such map; names the file.
    """
    if path.suffix.lower() == ".png":
        return read_id_map(path, colors="ids").ids
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        values = _array_of_mat(path) if path.suffix.lower() == ".mat" else np.load(path)
    except Exception as error:  # SciPy raises anything where bytes are torn
        raise ValueError(f"{path}: cannot be read as a map of instances: {error}") from error
    return _checked(np.asarray(values), path)


def _array_of_mat(path: Path) -> Any:
    """``inst_map``, or the only array of the file."""
    content = {
        key: value for key, value in scipy.io.loadmat(path).items() if not key.startswith("__")
    }
    if _KEY in content:
        return content[_KEY]
    maps = [value for value in content.values() if min(np.shape(value), default=0) > 1]
    if len(maps) != 1:
        raise ValueError(f"it has no {_KEY}, and {len(maps)} other arrays")
    return maps[0]


def _checked(values: NDArray[Any], path: Path) -> NDArray[np.int32]:
    """Whole numbers (H, W) from 0 on; methods write them as floats, too."""
    if values.ndim != 2 or not values.size or values.dtype.kind not in "biuf":
        raise ValueError(
            f"{path}: must hold numbers of instances (H, W), got {values.dtype} {values.shape}"
        )
    if not (np.isfinite(values).all() and 0 <= values.min() <= values.max() <= _LARGEST):
        raise ValueError(f"{path}: numbers of instances must lie in 0 to {_LARGEST}")
    ids = values.astype(np.int32)
    if (ids != values).any():
        raise ValueError(f"{path}: numbers of instances must be whole")
    return ids


def _is_map(path: Path) -> bool:
    """Whether a ``.npy`` file says that it holds an array (H, W) of numbers, not a pickle."""
    try:
        values = np.load(path, mmap_mode="r")
    except (ValueError, OSError, EOFError):
        return False
    return values.ndim == 2 and values.dtype.kind in "biuf"
