"""Formats of masks by name, and how one is recognised."""

import os

from trace_mm.files.id_maps import read_id_map
from trace_mm.plugins import Plugins
from trace_mm.refinement.readers.base import MaskReader
from trace_mm.refinement.readers.binary_png import BinaryPngReader
from trace_mm.refinement.readers.coco_json import (
    CocoReader,
    CutlerReader,
    MaskCutReader,
    ProMergeReader,
)
from trace_mm.refinement.readers.instance_maps import InstanceMapReader
from trace_mm.refinement.readers.irn import IrnReader
from trace_mm.refinement.readers.palette_png import (
    CupsReader,
    DhrReader,
    VocReader,
    is_voc_folder,
)
from trace_mm.refinement.readers.panoptic import U2SegReader
from trace_mm.refinement.readers.source import MaskSource
from trace_mm.refinement.readers.unsam import UnSamReader
from trace_mm.registry import MASK_READERS

MASK_FORMATS: dict[str, type[MaskReader]] = {
    "unsam": UnSamReader,
    "u2seg": U2SegReader,
    "maskcut": MaskCutReader,
    "promerge": ProMergeReader,
    "cutler": CutlerReader,
    "coco": CocoReader,
    "instance_maps": InstanceMapReader,
    "ssa": InstanceMapReader,
    "coin": InstanceMapReader,
    "irn": IrnReader,
    "cups": CupsReader,
    "png": BinaryPngReader,
    "voc": VocReader,
    "dhr": DhrReader,
    "mars": DhrReader,
}
"""Our readers by the name that users write; the first that recognises a source is its format."""

PLUGINS: Plugins[MaskReader] = Plugins(
    MASK_FORMATS, MASK_READERS, "trace_mm.mask_readers", MaskReader, "mask reader"
)
"""These, and those of other packages."""

_TAKEN: dict[type[MaskReader], str] = {
    VocReader: "taken for numbers of objects; if they are numbers of classes, say --format dhr",
    DhrReader: "taken for numbers of classes, one mask each; if they are numbers of objects, say "
    "--format voc, if masks in black and white, --format png",
}
"""What is said of maps that could mean something else."""

_TOKENCUT = (
    "TokenCut saves boxes (preds.pkl) and pictures, but no masks. Make masks with it by "
    "projects/mask_generators, or save its bipartitions as black-and-white PNG files"
)


def mask_formats() -> list[str]:
    """Names of all formats: ours, and those of other packages, which are not imported."""
    return PLUGINS.names()


def open_masks(
    path: str | os.PathLike[str],
    format: str = "auto",
    allow_pickle: bool = False,
    crowds: str = "auto",
) -> MaskReader:
    """Open a file or folder of masks.

    Args:
        path: of the file or folder.
        format: one of ``mask_formats()``, or "auto" to recognise it from names and content. Readers
            of other packages are asked before ours.
        allow_pickle: whether files that can only be read by unpickling (IRN) are read. Unpickling
            may run code that is hidden in the file.
        crowds: what becomes of crowd regions: "auto", "keep" or "skip", see ``MaskReader``.

    Raises:
        FileNotFoundError: if there is no such path.
        ValueError: if the format is unknown, its package cannot be imported, it cannot be
            recognised, or the file is not of it; names the file or package and the cause.
    """
    source = MaskSource(path)
    if format == "tokencut" or (format == "auto" and source.path.suffix.lower() == ".pkl"):
        raise ValueError(f"{source.path}: {_TOKENCUT}")
    if format != "auto":
        if format not in mask_formats():
            known = ", ".join(["auto", *mask_formats()])
            raise ValueError(f"format must be one of {known}, got {format!r}")
        return PLUGINS.get(format)(source, allow_pickle, crowds)
    kind, notes = recognize(source)
    reader = kind(source, allow_pickle, crowds)
    if kind in _TAKEN and not is_voc_folder(source):
        notes.append(f"{source.path}: {_TAKEN[kind]}")
    reader.notes[:0] = notes
    return reader


def recognize(source: MaskSource) -> tuple[type[MaskReader], list[str]]:
    """The reader of a file's or folder's format, and what to tell of readers of other packages.

    Raises:
        ValueError: if there is none, or two packages claim it.
    """
    notes: list[str] = []
    claims = []
    for name, kind in PLUGINS.added(notes.append).items():
        try:
            if kind.recognizes(source):
                claims.append(name)
        except Exception as error:  # of others, who may raise anything: ours may know the format
            cause = " ".join(f"{type(error).__name__}: {error}".split())
            notes.append(f"{source.path}: mask reader {name!r} ({kind.__module__}) fails: {cause}")
    if len(claims) > 1:
        raise ValueError(f"{source.path}: could be of {' or '.join(claims)}: name one by --format")
    if claims:
        kind = PLUGINS.get(claims[0])
        told = f"read as {claims[0]!r} ({kind.__module__}); --format names another format"
        return kind, [f"{source.path}: {told}", *notes]
    for reader in MASK_FORMATS.values():
        if reader.recognizes(source):
            return reader, notes
    causes = "; ".join(filter(None, [_cause(source), *notes]))
    raise ValueError(
        f"{source.path}: not recognised as masks of any format; name one of "
        f"{', '.join(mask_formats())}{causes and f' ({causes})'}"
    )


def _cause(source: MaskSource) -> str:
    """Why the first of the folder's images is no map; empty if there is none, or it is one."""
    for name in source.files(".png")[:1]:
        try:
            read_id_map(source.path / name)
        except (ValueError, OSError) as error:
            return str(error)
    return ""
