"""Score a finished file or folder against annotations, whatever it holds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trace_mm.apis.score_folders import score_folders
from trace_mm.apis.score_instances import score_instance_files
from trace_mm.apis.score_semantic import score_semantic_maps
from trace_mm.datasets.semantic_protocols import protocol_of
from trace_mm.evaluation.panoptic_files import score_panoptic_files
from trace_mm.evaluation.panoptic_table import panoptic_table, scores_as_json
from trace_mm.evaluation.score_table import scores_table
from trace_mm.evaluation.semantic_scores import semantic_json, semantic_table
from trace_mm.files import write_atomically
from trace_mm.files.json_file import read_json
from trace_mm.files.panoptic_file import is_panoptic, png_folder, read_panoptic_file
from trace_mm.files.shard_names import is_shard

EDGES, INSTANCES, PANOPTIC = "edge maps", "instance masks", "panoptic maps"
SEMANTIC = "semantic maps"
_MAPS = "a folder of annotations"
_OPTIONS: Mapping[str, frozenset[str]] = {
    EDGES: frozenset({"tolerance", "tolerances", "suppress", "void", "workers", "truth_folder"}),
    INSTANCES: frozenset({"protocol", "iou_type", "max_detections", "classes", "image_pq"}),
    PANOPTIC: frozenset({"by_category", "workers", "truth_folder", "result_folder", "image_pq"}),
    SEMANTIC: frozenset({"by_category", "workers"}),
}


@dataclass(frozen=True)
class FileScores:
    """Scores of a file or folder.

    Attributes:
        kind: of what was scored.
        table: the scores as text.
        content: all scores and counts, as values that JSON can hold.
    """

    kind: str
    table: str
    content: dict[str, Any] = field(repr=False)

    def report(self, out: str | Path | None = None) -> None:
        """Write the table on stdout, and everything to a JSON file if one is named.

        Raises:
            OSError: if the file cannot be written.
        """
        print(self.table)
        if out is not None:
            write_atomically(Path(out), json.dumps(self.content, indent=1).encode("ascii"))


def score_files(
    result: str | Path,
    truth: str | Path,
    *,
    partial: bool = False,
    progress: bool = False,
    semantic: str | Sequence[str] | None = None,
    **options: Any,
) -> FileScores:
    """Score what was made against annotations; the files tell what they hold.

    - Edge maps (folder, or shards) against a folder of id maps or of BSDS's ``.mat``, a COCO
      instances or a COCO panoptic JSON: ODS, OIS, AP, clDice.
    - COCO instances with scores, or a list of COCO results, against COCO instances: class-agnostic
      AP and AR, with ``classes`` also with regard to classes, with ``image_pq`` also PQ image by
      image.
    - A COCO panoptic JSON against another: PQ, SQ, RQ.
    - With ``semantic``, a folder of maps of class numbers against a folder of ground truth: mIoU.

    Args:
        result: what is scored.
        truth: annotations.
        partial: score only images that the result has.
        progress: show a progress bar.
        semantic: name of a benchmark, see
            :func:`trace_mm.datasets.semantic_protocols.semantic_protocol`, or names of classes.
            Nothing in a folder says that it holds semantic maps.
        options: of :func:`trace_mm.apis.score_folders.score_folders`; ``protocol``, ``iou_type``,
            ``max_detections``, ``classes`` and ``image_pq`` of
            :func:`trace_mm.evaluation.evaluate_instances`; ``workers`` of
            :func:`trace_mm.evaluation.score_panoptic_files`, ``image_pq`` for the mean of the PQ of
            each image's things as one class, ``by_category`` for a line for each category,
            ``result_folder`` and ``truth_folder`` of PNGs. None is the default.

    Raises:
        FileNotFoundError: if something is missing.
        ValueError: if it is not clear what a file holds, the two do not fit, or an option has no
            effect on them; names the file.
    """
    kind = fitting_kind(result, truth) if semantic is None else SEMANTIC
    given = {name: value for name, value in options.items() if value is not None}
    foreign = sorted(given.keys() - known_options(kind))
    if foreign:
        raise ValueError(f"{result}: holds {kind}, on which {foreign[0]} has no effect")
    if semantic is not None:
        return _score_semantic(result, truth, partial, progress, semantic, given)
    score = {EDGES: _score_edges, INSTANCES: _score_instances, PANOPTIC: _score_panoptic}[kind]
    return score(result, truth, partial, progress, given)


def _score_edges(
    result: str | Path, truth: str | Path, partial: bool, progress: bool, options: dict[str, Any]
) -> FileScores:
    scores = score_folders(result, truth, partial=partial, progress=progress, **options)
    return FileScores(EDGES, scores_table(scores.metrics()), scores.to_dict())


def _score_instances(
    result: str | Path, truth: str | Path, partial: bool, progress: bool, options: dict[str, Any]
) -> FileScores:
    scores, settings = score_instance_files(result, truth, partial=partial, **options)
    counts = {name: getattr(scores, name) for name in ("images", "instances", "detections")}
    content = {
        **scores.to_dict(),
        **counts,
        "protocol": settings.protocol,
        "iou_type": settings.iou_type,
        "touch_distance": settings.touch_distance,
        "touching": scores.touching.image_ids,
        **({} if scores.classes is None else {"by_class": scores.classes.by_class}),
    }
    return FileScores(INSTANCES, scores_table(scores.to_dict()), content)


def _score_panoptic(
    result: str | Path, truth: str | Path, partial: bool, progress: bool, options: dict[str, Any]
) -> FileScores:
    by_category, image_pq = options.pop("by_category", False), options.pop("image_pq", False)
    truth_folder = png_folder(truth, options.pop("truth_folder", None))
    result_folder = png_folder(result, options.pop("result_folder", None))
    scores = score_panoptic_files(
        truth, truth_folder, result, result_folder, partial=partial, progress=progress, **options
    )
    categories = read_panoptic_file(truth)["categories"]
    names = {category["id"]: category["name"] for category in categories}
    table, content = panoptic_table(scores, names, by_category), scores_as_json(scores, names)
    if image_pq and scores.by_image is not None:
        quality = scores.by_image.to_dict()
        table, content = f"{table}\n{scores_table(quality)}", {**content, **quality}
    return FileScores(PANOPTIC, table, content)


def _score_semantic(
    result: str | Path,
    truth: str | Path,
    partial: bool,
    progress: bool,
    semantic: str | Sequence[str],
    options: dict[str, Any],
) -> FileScores:
    by_class, protocol = options.pop("by_category", False), protocol_of(semantic)
    scores = score_semantic_maps(
        result, truth, protocol, partial=partial, progress=progress, **options
    )
    table = semantic_table(scores, protocol.classes, by_class)
    return FileScores(SEMANTIC, table, semantic_json(scores, protocol.classes))


def known_options(kind: str) -> frozenset[str]:
    """Names of the options of :func:`score_files` that a kind of result has."""
    return _OPTIONS[kind]


def fitting_kind(result: str | Path, truth: str | Path) -> str:
    """The kind of a result that fits its truth.

    Raises:
        FileNotFoundError: if one is missing.
        ValueError: if it is not clear what one holds, or they do not fit; names it.
    """
    true = _kind_of_truth(Path(truth))
    kind = _kind_of_result(result) or (INSTANCES if true == _MAPS else true)
    if kind in (EDGES, true):
        return kind
    raise ValueError(
        f"{result}: holds {kind}, which are scored against {kind}, but {truth} is or holds {true}"
    )


def _kind_of_truth(path: Path) -> str:
    if path.is_dir():
        return _MAPS
    kind = _kind_of_json(path)
    if kind is None:
        raise ValueError(f"{path}: there is no annotation in it")
    return kind


def _kind_of_result(path: str | Path) -> str | None:
    """What is scored; None for a file of no annotation at all."""
    if is_shard(str(path)):
        return EDGES
    folder = Path(path)
    if not folder.is_dir():
        return _kind_of_json(folder)
    datasets = [name for name in ("panoptic.json", "instances.json") if (folder / name).is_file()]
    if datasets:
        raise ValueError(f"{path}: name the file in it that is meant: {' or '.join(datasets)}")
    return EDGES


def _kind_of_json(path: Path) -> str | None:
    """What a JSON file holds; None if it has no annotation, so that all kinds are possible."""
    if path.is_file() and path.suffix.lower() != ".json":
        raise ValueError(f"{path}: {_expected()}")
    content = read_json(path, "file or folder")
    listed = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(listed, list):
        raise ValueError(f"{path}: {_expected()}; it has no list 'annotations'")
    if is_panoptic(content):
        return PANOPTIC
    if not listed:
        return None
    if isinstance(listed[0], dict) and listed[0].keys() & {"segmentation", "bbox"}:
        return INSTANCES
    raise ValueError(
        f"{path}: {_expected()}; its first annotation has neither segmentation, bbox nor "
        f"segments_info"
    )


def _expected() -> str:
    return (
        "what it holds is unclear: expected a folder or shards (.tar) of edge maps, or a JSON of "
        "COCO instances, of COCO results or of COCO panoptic maps (trace-mm convert makes COCO of "
        "other masks)"
    )
