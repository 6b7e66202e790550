"""Images without annotations, as a model in training is shown them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.datasets.image_references import ImageCollection, SourceImage
from trace_mm.datasets.pseudo_edge_cache import PseudoEdgeCache
from trace_mm.datasets.random_views import RandomViews
from trace_mm.datasets.subset import choose_images
from trace_mm.datasets.visit import Visit
from trace_mm.lazy import lazy_module
from trace_mm.registry import DATASETS

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import functional
    from torch.utils.data import Dataset

    _Dataset = Dataset[dict[str, Any]]
else:
    _Dataset = object  # torch asks for no more than its methods
    torch = lazy_module("torch")
    functional = lazy_module("torch.nn.functional")

_MOST_REPLACED = 20  # unreadable images in a row; more of them are a mistake and not an accident
_VIEWS = 1  # tells the chance of views from that of mirroring


@DATASETS.register_module()
class UnlabelledImageDataset(_Dataset):
    """Images of one or several sources at one size, with the teacher's edges where they are cached.

    An image that cannot be read is replaced by the next one that can: a warning names it, and the
    item's meta information ``replaced`` holds the reason, which ``UnreadableImagesHook`` logs and
    counts. Which image takes the place does not depend on chance.

    Args:
        source: config of a source (``ImageFolder``, ``ImageShards``, ``CocoImages``,
            ``VocImages``, ``SceneImages``), or a list of them, which are put one after another.
        size: side in pixels of the square that each image is resized to, like the paper (App. C.1),
            or (H, W); None leaves images as they are, for batches of one.
        flip: probability that an image is mirrored, together with its edges. It needs a sampler
            that counts visits, ``VisitSampler``, so that a resumed run mirrors the same images.
        seed: of the mirroring, and of the choice of a part of the images.
        limit: use so many images at most, chosen at random by their names, but always the same
            (:func:`trace_mm.datasets.subset.choose_images`); None for all.
        per_class: likewise, of each folder of images.
        pseudo_edges: arguments of :class:`trace_mm.datasets.PseudoEdgeCache` (``folder`` and
            ``teacher``), which ``tools/cache_pseudo_edges.py`` fills; None for images only.
        views: arguments of :class:`trace_mm.datasets.random_views.RandomViews`: show a random part
            of each image. Cached edges are those of the whole image. Like ``flip`` it needs a
            ``VisitSampler``, and then ``size`` must be None. None shows whole images.

    Raises:
        FileNotFoundError: if a source finds no images.
        ValueError: if an option is wrong.
    """

    metainfo: dict[str, Any] = {}  # noqa: RUF012 (mmengine reads it as it is)

    def __init__(
        self,
        source: dict[str, Any] | Sequence[dict[str, Any]],
        size: int | Sequence[int] | None = None,
        flip: float = 0.0,
        seed: int = 0,
        pseudo_edges: dict[str, Any] | None = None,
        limit: int | None = None,
        per_class: int | None = None,
        views: dict[str, Any] | None = None,
    ) -> None:
        configs = [source] if isinstance(source, dict) else list(source)
        if not configs:
            raise ValueError("a dataset needs at least one source")
        self.sources: list[ImageCollection] = [DATASETS.build(config) for config in configs]
        self._ends = np.cumsum([len(part) for part in self.sources])
        self.size = _check_size(size)
        if not 0 <= flip <= 1:
            raise ValueError(f"flip must be a probability, got {flip}")
        self.flip, self.seed = flip, seed
        self.views = None if views is None else RandomViews(**views)
        if self.views is not None and self.size is not None:
            raise ValueError("views are cut from whole images: size must be None")
        self._chosen: NDArray[np.int64] | None = None
        if limit is not None or per_class is not None:
            self._chosen = choose_images(self._names(), limit, per_class, seed)
        self.pseudo_edges = None if pseudo_edges is None else PseudoEdgeCache(**pseudo_edges)
        if self.pseudo_edges is not None:
            len(self.pseudo_edges.packed)  # opened before processes are forked, which then share it

    def __len__(self) -> int:
        return int(self._ends[-1]) if self._chosen is None else len(self._chosen)

    def _names(self) -> Iterator[str]:
        """Names of all images, with the number of the source where there are several."""
        for number, part in enumerate(self.sources):
            within = f"{number}/" if len(self.sources) > 1 else ""
            yield from (f"{within}{part.name(index)}" for index in range(len(part)))

    def __getitem__(self, index: int | Visit) -> dict[str, Any]:
        """An item as it is trained on.

        Args:
            index: of the image, with the number of the visit if images are mirrored at random.

        Returns:
            ``inputs`` float32 (3, H, W) in [0, 1], and ``data_samples``, an ``EdgeDataSample`` with
            ``pseudo_edges`` float32 (h, w) in [0, 1] if they are cached: on the teacher's token
            grid, or at the size of ``inputs``.

        Raises:
            IndexError: if there is no such image.
            FileNotFoundError: if an image's edges are not in the cache.
            ValueError: if too many images in a row cannot be read.
        """
        number, visit = index if isinstance(index, Visit) else (index, None)
        if (self.flip or self.views) and visit is None:
            raise ValueError(
                "to mirror images or to cut views at random, the dataloader needs "
                "sampler=dict(type='VisitSampler')"
            )
        image, reasons = self._read_or_replace(number)
        item = self.present(image)
        if self.pseudo_edges is not None:
            key = self.pseudo_edges.key(image.digest, self.size, image.image_id)
            edges = self.pseudo_edges.load(key, image.path or image.image_id)
            _check_fit(edges, item["inputs"], image)
            item["data_samples"].pseudo_edges = edges
        if reasons:
            item["data_samples"].set_metainfo({"replaced": reasons})
        if self.views is not None:
            self._cut(item, number, visit)
        return self._mirror(item) if self._is_mirrored(number, visit) else item

    def locate(self, index: int) -> tuple[ImageCollection, int]:
        """The source of image ``index``, and its index there.

        Raises:
            IndexError: if there is no such image.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} images, none has index {index}")
        if self._chosen is not None:
            index = int(self._chosen[index])
        part = int(np.searchsorted(self._ends, index, side="right"))
        return self.sources[part], index - (int(self._ends[part - 1]) if part else 0)

    def present(self, image: SourceImage) -> dict[str, Any]:
        """An image as the model is shown it, without edges and not mirrored."""
        from trace_mm.structures import EdgeDataSample

        sample = EdgeDataSample(
            metainfo={
                "img_path": image.path,
                "image_id": image.image_id,
                "ori_shape": image.pixels.shape[:2],
            }
        )
        return {"inputs": resize_pixels(image.pixels, self.size), "data_samples": sample}

    def _read_or_replace(self, index: int) -> tuple[SourceImage, list[str]]:
        """Image ``index`` or the next that can be read, and why those before it cannot."""
        self.locate(index)  # raises if there is none
        reasons: list[str] = []
        for step in range(min(len(self), _MOST_REPLACED + 1)):
            source, number = self.locate((index + step) % len(self))
            try:
                return source.read(number), reasons
            except (ValueError, FileNotFoundError) as error:
                reasons.append(str(error))
                warnings.warn(f"{error}; the next image takes its place", stacklevel=3)
        raise ValueError(f"{len(reasons)} images in a row cannot be read: {'; '.join(reasons)}")

    def _is_mirrored(self, index: int, visit: int | None) -> bool:
        if not self.flip or visit is None:
            return False
        return bool(np.random.default_rng([self.seed, index, visit]).random() < self.flip)

    def _cut(self, item: dict[str, Any], index: int, visit: int | None) -> None:
        """Replace image and edges by a random part, other at each visit."""
        assert self.views is not None
        chance = np.random.default_rng([self.seed, index, visit or 0, _VIEWS])
        sample = item["data_samples"]
        item["inputs"], edges = self.views.cut(item["inputs"], sample.get("pseudo_edges"), chance)
        if edges is not None:
            del sample.pseudo_edges
            sample.pseudo_edges = edges

    @staticmethod
    def _mirror(item: dict[str, Any]) -> dict[str, Any]:
        sample = item["data_samples"]
        if "pseudo_edges" in sample:
            sample.pseudo_edges = sample.pseudo_edges.flip(1)  # (h, w)
        return {"inputs": item["inputs"].flip(2), "data_samples": sample}  # (3, H, W)


def resize_pixels(pixels: NDArray[np.float32], size: tuple[int, int] | None) -> Tensor:
    """An image as a tensor of a given size; the aspect ratio is not kept.

    Args:
        pixels: (H, W, 3) in [0, 1].
        size: (H', W'), or None to leave it as it is.

    Returns:
        float32 (3, H', W') in [0, 1].
    """
    image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))  # (3, H, W)
    if size is None or size == tuple(image.shape[1:]):
        return image
    return functional.interpolate(image[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)


def _check_size(size: int | Sequence[int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise ValueError(f"size must be positive, got {size}")
    return int(height), int(width)


def _check_fit(edges: Tensor, pixels: Tensor, image: SourceImage) -> None:
    if any(theirs > own for theirs, own in zip(edges.shape, pixels.shape[1:], strict=True)):
        raise ValueError(
            f"{image.path or image.image_id}: its cached edges are {tuple(edges.shape)}, but the "
            f"image is {tuple(pixels.shape[1:])} (H, W)"
        )
