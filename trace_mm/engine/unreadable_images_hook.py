"""No image is left out in silence."""

from collections import Counter
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from trace_mm.files import write_atomically
from trace_mm.registry import HOOKS

REPORT_FILE = "unreadable_images.txt"


@HOOKS.register_module()
class UnreadableImagesHook(Hook):
    """Logs each training image that could not be read and had to be replaced, and counts them.

    Datasets put the reasons into the meta information ``replaced`` of the item that took the place.
    Each image is logged as an error when it first comes up; at the end of the training their number
    is, and ``unreadable_images.txt`` in the work folder lists them.
    """

    def __init__(self) -> None:
        self._reasons: Counter[str] = Counter()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Look through a batch."""
        samples = data_batch.get("data_samples", []) if isinstance(data_batch, dict) else []
        for sample in samples or []:
            for reason in sample.get("replaced", []):
                if reason not in self._reasons:
                    runner.logger.error(
                        f"{reason}; another image takes its place "
                        f"({len(self._reasons) + 1} unreadable so far in this process)"
                    )
                self._reasons[reason] += 1

    def after_train(self, runner: Runner) -> None:
        """Count over all processes and write the list."""
        parts = all_gather_object(self._reasons)
        total: Counter[str] = sum(parts, Counter())
        if not total or not is_main_process():
            return
        lines = [f"{reason} ({count} times)\n" for reason, count in sorted(total.items())]
        report = Path(runner.work_dir) / REPORT_FILE
        write_atomically(report, "".join(lines).encode())
        runner.logger.error(f"{len(total)} training images could not be read: {report}")
