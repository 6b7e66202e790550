"""Score edge maps against annotations: no config, no images needed."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.console import note
from trace_mm.datasets.edge_truth import (
    EdgeTruth,
    truths_of_folder,
    truths_of_instances,
    truths_of_panoptic,
)
from trace_mm.evaluation.counting_pool import CountingPool
from trace_mm.evaluation.edge_counts import CountingSettings
from trace_mm.evaluation.edge_scores import EdgeScores, summarize
from trace_mm.files.edge_maps import EdgeMaps, read_edges_of
from trace_mm.files.json_file import read_json
from trace_mm.files.members import AnyFile, Member
from trace_mm.files.panoptic_file import is_panoptic, png_folder
from trace_mm.files.shard_names import ShardNames, is_shard
from trace_mm.files.shards import read_shard
from trace_mm.jobs.shard_inputs import STORED_EDGES

_Pairs = Iterator[tuple[EdgeTruth, AnyFile]]


def score_folders(
    edges: str | Path,
    truth: str | Path,
    tolerance: float = 0.0075,
    tolerances: Sequence[float] = (),
    suppress: bool = True,
    workers: int | None = None,
    progress: bool = False,
    *,
    truth_folder: str | Path | None = None,
    void: int | None = None,
    partial: bool = False,
) -> EdgeScores:
    """Score edge maps by the BSDS protocol against annotations of images of the same names.

    Args:
        edges: folder of ``<name>.png``, ``.npz`` or ``.npy``; see ``EdgeMaps``. Or shards as
            ``trace-mm edges`` writes them: ``"edges/{000..999}.tar"``.
        truth: folder of segment ids (``<stem>.png``, see ``read_id_map``) or of BSDS500 ground
            truth (``<stem>.mat``); a COCO instances or a COCO panoptic JSON. All of it is scored.
        tolerance: matching radius as a fraction of the image's diagonal.
        tolerances: further radii for the curve of ODS over tolerance.
        suppress: False for maps that are thinned already.
        workers: processes to count in; None means one for each usable core, but no more than 8.
        progress: show a progress bar.
        truth_folder: PNGs of a panoptic JSON; None looks for them beside it, see ``png_folder``.
        void: id of unlabelled pixels in maps of segments, whose borders do not count.
        partial: score only images that have an edge map.

    Raises:
        FileNotFoundError: if a folder or an edge map is missing.
        ValueError: if a file cannot be read, or the sizes of a pair differ.
    """
    for radius in (tolerance, *tolerances):
        if not 0 < radius < 1:
            raise ValueError(f"a tolerance is a fraction of the diagonal, in (0, 1), got {radius}")
    truths = _truths(Path(truth), truth_folder, void)
    if is_shard(str(edges)):
        pairs = _in_shards(ShardNames([edges]), truths, partial)
    else:
        pairs = _in_folder(EdgeMaps(edges), truths, partial)
    others = tuple(extra for extra in tolerances if extra != tolerance)
    settings = CountingSettings(tolerances=(tolerance, *others), suppress=suppress)
    with CountingPool(settings, workers, progress) as pool:
        for one, path in pairs:
            targets = one.edges()
            pool.submit(_read(path, targets, one), targets, name=one.place)
        counts = pool.results()
    return summarize(counts, settings)


def _truths(path: Path, folder: str | Path | None, void: int | None) -> list[EdgeTruth]:
    """What edges are scored against.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if a file is no such annotation, or an option has no effect.
    """
    content: Any = None if path.suffix.lower() != ".json" else read_json(path, "annotation file")
    if is_panoptic(content):
        return truths_of_panoptic(path, png_folder(path, folder), void)
    if folder is not None:
        raise ValueError(f"{path}: is no panoptic file, for which a folder of PNGs has no effect")
    if content is None:
        return truths_of_folder(path, void)
    if void is not None:
        raise ValueError(f"{path}: void has no effect on instances, whose masks hold no ids")
    return truths_of_instances(path)


def _in_folder(maps: EdgeMaps, truths: Sequence[EdgeTruth], partial: bool) -> _Pairs:
    """Each image and its edge map, in the order of the images."""
    maps.expect([one.name for one in truths])
    found = {one.name: maps.find(one.name) for one in truths}
    missing = [one for one in truths if found[one.name] is None]
    if missing and not partial:
        wanted = maps.folder / f"{missing[0].name}.png"
        raise FileNotFoundError(
            f"{wanted}: no such edge map (nor .npz or .npy); {len(missing)} of {len(truths)} "
            f"annotated images have none"
        )
    _note_missing(missing, truths)
    for one in truths:
        path = found[one.name]
        if path is not None:
            yield one, path


def _in_shards(shards: ShardNames, truths: Sequence[EdgeTruth], partial: bool) -> _Pairs:
    """Each image and its edge map, in the order of the shards."""
    names = _by_key(truths)
    missing = {one.name: one for one in truths}
    if len(missing) < len(truths):
        raise ValueError(f"{truths[0].place} and others: two images have the same name")
    key = ""
    for address in shards:
        for sample in read_shard(address):
            key = sample.key
            one = names.get(key, names.get(PurePosixPath(key).name))
            member = _member(sample.key, sample.files)
            if one is None or member is None:
                continue
            if missing.pop(one.name, None) is None:
                raise ValueError(f"{address}: {key}: a second edge map of {one.name}")
            yield one, member
    if len(missing) == len(truths):
        raise FileNotFoundError(
            f"{shards[0]}: holds an edge map ({' or '.join(STORED_EDGES)}) of none of the "
            f"{len(truths)} images, such as {truths[0].name}; its samples are called like {key!r}"
        )
    if missing and not partial:
        raise FileNotFoundError(
            f"{shards[0]}: no edge map of {next(iter(missing))}; {len(missing)} of {len(truths)} "
            f"annotated images have none"
        )
    _note_missing(list(missing.values()), truths)


def _by_key(truths: Sequence[EdgeTruth]) -> dict[str, EdgeTruth]:
    """Images by their whole names, and by the last parts that only one has."""
    shorts: dict[str, EdgeTruth] = {}
    twice = set()
    for one in truths:
        short = PurePosixPath(one.name).name
        if shorts.setdefault(short, one) is not one:
            twice.add(short)
    alone = {short: one for short, one in shorts.items() if short not in twice}
    return {**alone, **{one.name: one for one in truths}}


def _member(key: str, files: Mapping[str, bytes]) -> Member | None:
    """What holds the edges in a sample, if anything does."""
    extension = next((one for one in STORED_EDGES if one in files), None)
    return None if extension is None else Member(f"{key}.{extension}", files[extension])


def _read(path: AnyFile, targets: NDArray[np.bool_], truth: EdgeTruth) -> NDArray[np.float32]:
    """An edge map (H, W) of the size of true edges (A, H, W)."""
    try:
        return read_edges_of(path, (targets.shape[1], targets.shape[2]))
    except ValueError as error:
        raise ValueError(f"{error} ({truth.place})") from error


def _note_missing(missing: Sequence[EdgeTruth], truths: Sequence[EdgeTruth]) -> None:
    if missing:
        note(f"{len(missing)} of {len(truths)} annotated images have no edge map: not scored")
