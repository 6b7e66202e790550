"""Checkpoints that survive a kill at any moment."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.logging import HistoryBuffer
from mmengine.runner import BaseLoop, Runner

from trace_mm.files import write_atomically
from trace_mm.registry import HOOKS

_BACKEND = "trace_mm_whole_files"
_LAST_CHECKPOINT = "last_checkpoint"  # mmengine's name of the file that holds the path


class WholeFileBackend(LocalBackend):
    """mmengine's local files, but a written file is there whole or not at all."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write a file; see :func:`trace_mm.files.write_atomically`."""
        write_atomically(Path(filepath), obj)


register_backend(_BACKEND, WholeFileBackend, force=True)


@HOOKS.register_module()
class WholeCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, with six gaps closed.

    A checkpoint that is being written when the process is killed does not leave half a file under
    its name. With ``max_keep_ckpts`` an old one is removed after the new one is there, not before.
    And the history of the logged scalars is stored as tensors, so that whoever gets the file can
    read it by ``torch.load(..., weights_only=True)``, which runs no code. With ``FlexibleRunner``,
    a checkpoint that is saved after a validation says how many iterations are done, not one more.
    The interval may be ``"auto"``, to fit the length of the run: a tenth of its iterations, but at
    most 1000, and a whole number of the optimizer's steps. And where a validation has no scores,
    as on photos without annotations, there is no best checkpoint, and nothing fails.

    Other arguments are those of ``CheckpointHook``; files are local.
    """

    def __init__(self, interval: int | str = -1, *args: Any, **kwargs: Any) -> None:
        if isinstance(interval, str) and (interval != "auto" or kwargs.get("by_epoch", True)):
            raise ValueError(
                f"interval must be a number, or 'auto' with by_epoch=False, got {interval!r}"
            )
        kwargs.setdefault("backend_args", {"backend": _BACKEND})
        self._is_automatic = interval == "auto"
        super().__init__(-1 if self._is_automatic else interval, *args, **kwargs)
        self._is_after_validation = False

    def before_run(self, runner: Runner) -> None:
        """Choose the interval of a training, if that is left to the hook."""
        loop = runner._train_loop  # runner.train_loop would make one, with its data, for a test
        if self._is_automatic and isinstance(loop, BaseLoop):
            steps = getattr(runner.optim_wrapper, "_accumulative_counts", 1)
            self.interval = automatic_interval(loop.max_iters, steps)

    def before_train(self, runner: Runner) -> None:
        """Refuse a way of saving that would not keep what this class promises.

        Raises:
            ValueError: for mmengine's own ``FSDPStrategy``.
        """
        if type(getattr(runner, "strategy", None)).__name__ == "FSDPStrategy":
            raise ValueError(
                "mmengine's FSDPStrategy saves the frozen backbone with a student and cannot "
                "resume: use strategy=dict(type='trace_mm.StudentFSDPStrategy')"
            )
        super().before_train(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float]) -> None:
        """Save the best checkpoint."""
        if not metrics:
            return
        self._is_after_validation = True
        try:
            super().after_val_epoch(runner, metrics)
        finally:
            self._is_after_validation = False

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Turn mmengine's own objects into tensors and numbers."""
        if self._is_after_validation:  # FlexibleRunner thinks that it is within an iteration
            checkpoint["meta"].update(epoch=runner.epoch, iter=runner.iter)
        hub = checkpoint.get("message_hub", {})
        checkpoint["message_hub"] = {
            **hub,
            "log_scalars": {
                name: [torch.from_numpy(np.array(part, dtype=np.float64)) for part in buffer.data]
                for name, buffer in hub.get("log_scalars", {}).items()
            },
            "runtime_info": {
                name: value.item() if isinstance(value, np.generic) else value
                for name, value in hub.get("runtime_info", {}).items()
            },
        }

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Turn them back; checkpoints of mmengine's own hook are left as they are."""
        scalars = checkpoint.get("message_hub", {}).get("log_scalars", {})
        for name, stored in scalars.items():
            if isinstance(stored, list):
                values, counts = (part.cpu().numpy() for part in stored)
                scalars[name] = HistoryBuffer(values, counts.astype(np.int64))

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        outdated = None
        if self.max_keep_ckpts > 0 and (not self.keep_ckpt_ids or self.keep_ckpt_ids[-1] != step):
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated = self.keep_ckpt_ids.popleft()
            # mmengine removes nothing if it finds the step listed already.
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info("keep_ckpt_ids", list(self.keep_ckpt_ids))
        super()._save_checkpoint_with_step(runner, step, meta)
        if outdated is not None and is_main_process():
            (Path(self.out_dir) / self.filename_tmpl.format(outdated)).unlink(missing_ok=True)


def automatic_interval(iterations: int, accumulative_counts: int = 1) -> int:
    """How many iterations lie between two checkpoints of a run.

    Args:
        iterations: of the whole run.
        accumulative_counts: iterations that make a step of the optimizer.

    Returns:
        A tenth, at most 1000, rounded up to whole steps.
    """
    interval = min(max(1, iterations // 10), 1000)
    return -(-interval // accumulative_counts) * accumulative_counts


def latest_checkpoint(work_dir: str | Path) -> Path | None:
    """The newest checkpoint to resume from; None if there is none.

    It is the one that mmengine's ``last_checkpoint`` names. Where that file is missing or empty, or
    names a file that is gone, as after a kill or when the folder was moved, it is the
    ``iter_N.pth`` or ``epoch_N.pth`` with the highest number.

    Args:
        work_dir: where the hook saves checkpoints.
    """
    folder = Path(work_dir)
    pointer = folder / _LAST_CHECKPOINT
    if pointer.is_file():
        name = pointer.read_text(encoding="utf-8").strip()
        if name and Path(name).is_file():
            return Path(name)
    found = {
        int(match[1]): path
        for path in folder.glob("*.pth")
        if (match := re.fullmatch(r"(?:iter|epoch)_(\d+)\.pth", path.name))
    }
    return found[max(found)] if found else None
