"""Score semantic maps against ground truth: no config, no images needed."""

from pathlib import Path

import numpy as np

from trace_mm.console import note
from trace_mm.datasets.semantic_protocols import SemanticProtocol
from trace_mm.evaluation.semantic_scores import SemanticScores, confusion_matrix
from trace_mm.files.store_paths import FilePath
from trace_mm.refinement.image_maps import ImageMaps
from trace_mm.runs.pool import ordered_map
from trace_mm.runs.progress import watched

_Pair = tuple[FilePath, FilePath]


def score_semantic_maps(
    result: str | Path,
    truth: str | Path,
    protocol: SemanticProtocol,
    *,
    workers: int = 0,
    partial: bool = False,
    progress: bool = False,
) -> SemanticScores:
    """MIoU of maps of class numbers against the ground truth of a benchmark (Table 13).

    A map belongs to the ground truth of the same path within its folder, or of the same last part
    of it, but for how names end. Maps without ground truth are not looked at.

    Args:
        result: folder of ``.png`` maps of class numbers; 255 is no class.
        truth: folder of the ground truth; all of it is scored.
        protocol: classes, and the ids in the ground truth.
        workers: processes to count in; 0 means this one. The scores do not depend on it.
        partial: score only images that the result has.
        progress: show a progress bar.

    Raises:
        FileNotFoundError: if a folder or a map is missing.
        ValueError: if a file cannot be read, or the sizes of a pair differ; names it.
    """
    true = ImageMaps(truth, [protocol.suffix_in(Path(truth))], "true map")
    ending = protocol.image_suffix
    suffixes = [f"{ending}.png", ".png"] if ending else [".png"]
    found = ImageMaps(result, suffixes, "semantic map")
    matched = found.match(f"{stem}.png" for stem in true.stems)
    missing = [stem for stem, file in zip(true.stems, matched, strict=True) if not file]
    if missing and (not partial or len(missing) == len(true)):
        raise FileNotFoundError(
            f"{result}: no semantic map of {missing[0]}; {len(missing)} of {len(true)} images of "
            f"the ground truth have none"
        )
    if missing:
        note(f"{len(missing)} of {len(true)} images have no semantic map: not scored")
    pairs = [
        (true.path(own), found.path(file))
        for own, file in zip(true.files, matched, strict=True)
        if file
    ]
    confusion = np.zeros((len(protocol.classes), len(protocol.classes) + 1), dtype=np.int64)
    counts = ordered_map(_Count(protocol), pairs, workers)
    for one in watched(counts, total=len(pairs)) if progress else counts:
        confusion += one
    return SemanticScores.of(confusion)


class _Count:
    """The confusion matrix of a pair; can be pickled."""

    def __init__(self, protocol: SemanticProtocol) -> None:
        self._protocol = protocol

    def __call__(self, pair: _Pair) -> np.ndarray:
        true, found = pair
        truth = self._protocol.read(true)
        predicted = self._protocol.read_prediction(found, (truth.shape[0], truth.shape[1]))
        return confusion_matrix(truth, predicted, len(self._protocol.classes))
