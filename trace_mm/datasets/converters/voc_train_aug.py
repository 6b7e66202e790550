"""The augmented training set of PASCAL VOC 2012: VOC's own images and those of SBD."""

from pathlib import Path

from trace_mm.datasets.converters.voc import read_names, read_voc_list

TRAIN_AUG_IMAGES = 10582
"""How many there are, by the lists of VOC 2012 and of SBD's release."""


def voc_train_aug(data_root: str | Path, sbd: str | Path) -> list[str]:
    """Names of the images: VOC's train and SBD's train and val, without those of VOC's val.

    Args:
        data_root: ``VOCdevkit/VOC2012``, whose ``JPEGImages`` hold all of them.
        sbd: folder of SBD's ``train.txt`` and ``val.txt``, such as ``benchmark_RELEASE/dataset``.

    Returns:
        The names, sorted.

    Raises:
        FileNotFoundError: if a list or an image is missing; names it.
        ValueError: if a list is empty or holds names that are not VOC's.
    """
    root, lists = Path(data_root), Path(sbd)
    names = {*read_voc_list(root, "train")}
    for split in ("train", "val"):
        names |= {*read_names(lists / f"{split}.txt")}
    names -= {*read_voc_list(root, "val")}
    images = [_image(root, name) for name in sorted(names)]
    missing = [path for path in images if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{missing[0]}: no such image ({len(missing)} of {len(images)} are missing)"
        )
    return sorted(names)


def _image(root: Path, name: str) -> Path:
    return root / "JPEGImages" / f"{name}.jpg"
