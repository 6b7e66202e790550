"""A picture of each image of a test, as a file."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from numpy.typing import NDArray

from trace_mm.engine.picture_names import names_of_paths
from trace_mm.files import write_atomically
from trace_mm.files.png import encode_png


class PictureHook(Hook, ABC):
    """Writes a picture of each image of a test of one of mmdet's models.

    It is called like the image, ``<stem>.png``, below the folder that all images have in common.

    Args:
        out_dir: folder to write to, created if missing.
    """

    def __init__(self, out_dir: str) -> None:
        self.out_dir = Path(out_dir)
        self._names: dict[str, str] = {}

    @abstractmethod
    def draw(self, sample: Any) -> NDArray[np.uint8]:
        """The picture of an image.

        Args:
            sample: what the model finds in it, with ``img_path``.

        Returns:
            uint8 (H, W, 3) RGB.
        """

    def before_test(self, runner: Runner) -> None:
        """Choose the pictures' names; see mmengine."""
        dataset: Any = runner.test_loop.dataloader.dataset
        infos = (dataset.get_data_info(index) for index in range(len(dataset)))
        self._names = names_of_paths([str(info["img_path"]) for info in infos])

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Write the pictures of a batch.

        Args:
            runner: not used.
            batch_idx: not used.
            data_batch: not used; the images are read again, at their own size.
            outputs: of which each is drawn.

        Raises:
            ValueError: if a picture cannot be written as PNG; names the image.
        """
        for sample in outputs or []:
            picture = self.draw(sample)
            try:
                data = encode_png(picture)
            except ValueError as error:
                raise ValueError(f"{sample.img_path}: {error}") from error
            write_atomically(self.out_dir / f"{self._names[str(sample.img_path)]}.png", data)
