"""Edges that another detector has written to a folder."""

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

import torch

from trace_mm.files.edge_maps import EdgeMaps
from trace_mm.registry import MODELS
from trace_mm.runner_model import RunnerModel
from trace_mm.structures import EdgeDataSample


@MODELS.register_module()
class EdgeFolder(RunnerModel):
    """Reads each image's edges from a file instead of detecting them.

    Args:
        folder: holds ``<image>.png`` (8 or 16 bits, grey), ``<image>.npz`` (one array, or one named
            ``edges``) or ``<image>.npy`` (both float in [0, 1]) for each image, where ``<image>``
            is its path or name without suffix; see :class:`trace_mm.files.edge_maps.EdgeMaps`. An
            image that does not come from a file is looked up by its id.
        invert: True if the maps have dark edges on a white ground.

    Raises:
        FileNotFoundError: if there is no such folder.
    """

    def __init__(self, folder: str, invert: bool = False) -> None:
        super().__init__()
        self.maps = EdgeMaps(folder, invert)
        self._root = PurePath()

    def expect(self, images: Sequence[str], others: Iterable[str] = (), root: str = "") -> None:
        """Say which images will be asked for, so that what is wrong is found at once.

        Args:
            images: their ``img_path``, or their ids as text.
            others: of images that could have the same maps.
            root: folder of the images, from where their paths count.

        Raises:
            ValueError: if two of them could have one map; names both.
            FileNotFoundError: if none of them has a map.
        """
        self._root = PurePath(root)
        self.maps.expect([*map(self._name, images)], map(self._name, others))

    def without_map(self, images: Iterable[str]) -> list[str]:
        """Those of some images, by their ``img_path``, that have no map.

        Raises:
            ValueError: if two of them could have one map; names both.
        """
        return [image for image in images if self.maps.find(self._name(image)) is None]

    def forward(
        self,
        inputs: list[torch.Tensor],
        data_samples: list[EdgeDataSample] | None = None,
        mode: str = "predict",
    ) -> list[EdgeDataSample]:
        """Look up the edges of each image.

        Args:
            inputs: images (3, H, W), of which only the sizes matter.
            data_samples: with ``img_path`` or ``image_id``, and perhaps ``orientation``, to which
                maps of the other orientation are turned.
            mode: "predict".

        Returns:
            The samples, each with ``pred_edges`` float32 (H, W) in [0, 1].

        Raises:
            FileNotFoundError: if an image has no file.
            ValueError: if a file cannot be read, is not of the image's size or could be that of
                another image, or for another mode.
        """
        if mode != "predict":
            raise ValueError(f"EdgeFolder can only predict, got mode {mode!r}")
        if data_samples is None:
            raise ValueError("EdgeFolder needs data_samples that name the images")
        for image, sample in zip(inputs, data_samples, strict=True):
            path = sample.get("img_path")
            name = str(sample.get("image_id")) if path is None else self._name(path)
            size = image.shape[-2], image.shape[-1]
            edges = self.maps.read(name, size, sample.get("orientation"))
            sample.pred_edges = torch.from_numpy(edges).to(image.device)
        return data_samples

    def _name(self, path: str | Path) -> str:
        """The path within the root; all of it, without what leads to it, if it lies elsewhere."""
        whole = PurePath(path)
        if whole.is_relative_to(self._root):
            whole = whole.relative_to(self._root)
        return "/".join(part for part in whole.parts if part not in (whole.anchor, ".", ".."))
