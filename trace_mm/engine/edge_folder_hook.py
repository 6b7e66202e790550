"""Edge maps in a folder are checked against the images before a test starts."""

from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from trace_mm.models.edge_folder import EdgeFolder
from trace_mm.registry import HOOKS


@HOOKS.register_module()
class EdgeFolderHook(Hook):
    """Tells every ``EdgeFolder`` of the model which images a test will ask for.

    So a map that two images could have, or a folder that has none of the maps, ends the test before
    it starts, on all ranks alike.

    Datasets that know their images' paths have ``get_data_info`` and ``data_prefix``, as those of
    MMEngine do, or are made of such a dataset, ``images``. Others have images with ids of their
    own.
    """

    def before_test(self, runner: Runner) -> None:
        """Look through the dataset; see mmengine."""
        dataset: Any = runner.test_loop.dataloader.dataset
        dataset = getattr(dataset, "images", dataset)
        folders = [module for module in runner.model.modules() if isinstance(module, EdgeFolder)]
        if not folders or not hasattr(dataset, "get_data_info"):
            return
        infos = [dataset.get_data_info(index) for index in range(len(dataset))]
        root = str(dataset.data_prefix["img_path"])
        for folder in folders:
            folder.expect([str(Path(info["img_path"])) for info in infos], root=root)
