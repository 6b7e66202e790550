"""Images with true semantic maps and the scores that a method gives to the classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from torch.utils.data import Dataset

from trace_mm.datasets.semantic_protocols import protocol_of
from trace_mm.files import SizeEvidence, map_sizes, read_photo
from trace_mm.files.folders import walk_images
from trace_mm.refinement.image_maps import ImageMaps
from trace_mm.refinement.score_maps import SCORE_SUFFIXES, read_scores
from trace_mm.registry import DATASETS
from trace_mm.structures import SemanticDataSample

_FOLDERS = {"img_path": "images", "seg_path": "semantic", "score_path": "scores"}


@DATASETS.register_module()
class ScoreMapDataset(Dataset[dict[str, Any]]):
    """Images of a benchmark of semantic segmentation, with a method's score maps (Table 13).

    An image, its true map and its scores have the same path within their folders, or the same last
    part of it, but for their suffixes. Every image that counts needs both.

    Args:
        protocol: name of a benchmark, see :func:`semantic_protocol`, or the names of the classes of
            ``.png`` files that number them from 0.
        data_root: root of the relative paths.
        data_prefix: folders: ``img_path`` of images, ``seg_path`` of true maps, ``score_path`` of
            scores, see :func:`trace_mm.refinement.score_maps.read_scores`.
        ann_file: list of the images that count, a stem a line; empty takes all images that have a
            true map.

    Raises:
        FileNotFoundError: if a file or folder is missing, or an image has no true map or no scores.
        ValueError: if the protocol is unknown, or two files would be of one image.
    """

    def __init__(
        self,
        protocol: str | Sequence[str],
        data_root: str = "",
        data_prefix: Mapping[str, str] | None = None,
        ann_file: str = "",
    ) -> None:
        root = Path(data_root)
        self.protocol = protocol_of(protocol)
        folders = {**_FOLDERS, **(data_prefix or {})}
        self.data_prefix = {name: str(root / folder) for name, folder in folders.items()}
        images, truth = Path(self.data_prefix["img_path"]), Path(self.data_prefix["seg_path"])
        ending = self.protocol.image_suffix
        paths = _by_stem(images, ending)
        true = ImageMaps(truth, [self.protocol.suffix_in(truth)], "true map")
        scores = [f"{ending}{suffix}" for suffix in SCORE_SUFFIXES] if ending else []
        found = ImageMaps(self.data_prefix["score_path"], [*scores, *SCORE_SUFFIXES], "score map")
        listed = sorted(paths) if not ann_file else _listed(root / ann_file, paths)
        self._files = _matched(listed, true, found, required=bool(ann_file))
        self._paths = paths
        self.metainfo = {"classes": self.protocol.classes}

    def __len__(self) -> int:
        return len(self._files)

    def get_data_info(self, index: int) -> dict[str, Any]:
        """Path and id of an image."""
        name, _, _ = self._files[index]
        return {"img_path": str(self._paths[name]), "image_id": name}

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Item ``index``.

        Returns:
            ``inputs``, a float32 tensor (3, H, W) of RGB in [0, 1], and ``data_samples``, a
            ``SemanticDataSample`` with ``class_scores`` and ``gt_classes``.
        """
        name, true, scores = self._files[index]
        path = self._paths[name]
        photo = read_photo(path, lambda: SizeEvidence(map_sizes(true)))
        for note in photo.notes:
            print_log(f"{path}: {note}", "current")
        sample = SemanticDataSample(
            metainfo={
                "img_path": str(path),
                "image_id": name,
                "ori_shape": photo.size,
                "orientation": photo.orientation,
            },
            gt_classes=self.protocol.read(true, photo.size),
            class_scores=read_scores(scores, photo.size),
        )
        channels = np.ascontiguousarray(photo.pixels.transpose(2, 0, 1))  # (3, H, W)
        return {"inputs": torch.from_numpy(channels), "data_samples": sample}


def _by_stem(folder: Path, ending: str) -> dict[str, Path]:
    """Images by their paths within the folder, without suffixes and what stems end with."""
    found: dict[str, Path] = {}
    for path in walk_images(folder):
        stem = path.relative_to(folder).with_suffix("").as_posix().removesuffix(ending)
        if found.setdefault(stem, path) is not path:
            raise ValueError(f"{found[stem]} and {path}: would have one true map")
    return found


def _listed(path: Path, known: Mapping[str, Path]) -> list[str]:
    """The stems of a list, in its order."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such list of images")
    lines = path.read_text(encoding="utf-8").splitlines()
    names = [line.split()[0] for line in lines if line.strip()]
    missing = [name for name in names if name not in known]
    if missing or not names:
        raise FileNotFoundError(f"{path}: no image {missing[0] if missing else 'in it'}")
    return names


def _matched(
    names: Sequence[str], true: ImageMaps, scores: ImageMaps, required: bool
) -> list[tuple[str, Path, Path]]:
    """Name, true map and scores of each image that counts."""
    # The stems may hold dots: a suffix keeps what follows from being taken for one.
    keys = [f"{name}.png" for name in names]
    found = []
    for name, truth, score in zip(names, true.match(keys), scores.match(keys), strict=True):
        if not truth and not required:
            continue
        for file, maps in ((truth, true), (score, scores)):
            if not file:
                raise FileNotFoundError(f"{maps.folder}: no {maps.kind} of {PurePosixPath(name)}")
        found.append((name, Path(str(true.path(truth))), Path(str(scores.path(score)))))
    if not found:
        raise FileNotFoundError(f"{true.folder}: its {len(true)} true maps are of no image")
    return found
