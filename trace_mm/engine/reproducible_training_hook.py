"""A resumed run ends with the weights of one that was never stopped, bit for bit."""

import random
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from trace_mm.registry import HOOKS

_VALIDATED = "iter_of_last_validation"  # in mmengine's message hub
_META = "data_order"


@HOOKS.register_module()
class ReproducibleTrainingHook(Hook):
    """Does what mmengine's own ``resume`` leaves undone.

    - All random generators are seeded anew before each iteration, from the run's seed, the process
      and the iteration, so that their state needs no saving, in any number of processes, and what
      happens between iterations (validation, pictures) leaves no trace in the training.
    - A run without a seed of its own draws one. mmengine resumes it after the sampler was built;
      here the sampler gets it too.
    - A run that was killed between a checkpoint and the validation after it makes up for that, so
      that the best checkpoint is the same.
    - A checkpoint in the middle of a gradient accumulation would lose the gradients so far: an
      interval that can fall there is refused.
    - If batch size, number of processes or length of the dataset have changed, the log warns that
      the run goes on with another order of data.

    What remains to be deterministic are the model's own operations: on a CPU in float32 they are
    if the number of threads stays the same.
    """

    priority = "VERY_HIGH"

    def __init__(self) -> None:
        self._resumed: dict[str, Any] | None = None

    def before_train(self, runner: Runner) -> None:
        """Check what resuming depends on, and hand the seed of a resumed run to the sampler."""
        _check_accumulation(runner)
        if self._resumed is None:
            return
        sampler = runner.train_dataloader.sampler
        if hasattr(sampler, "seed"):
            sampler.seed = runner.seed
        now = _data_order(runner)
        changed = [
            f"{name} was {old}, now {now.get(name)}"
            for name, old in self._resumed.items()
            if now.get(name) != old
        ]
        if changed:
            runner.logger.warning(
                f"the run does not go on bit for bit, since its data comes in another order: "
                f"{'; '.join(changed)}"
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Make up for the validation that a resumed run has missed."""
        if self._resumed is None:
            return
        self._resumed = None
        done = runner.message_hub.get_info(_VALIDATED, -1)
        if _validation_is_due(runner) and done != runner.iter:
            runner.logger.info(f"validating iteration {runner.iter}, which was interrupted")
            runner.val_loop.run()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed all random generators for this iteration."""
        _seed_everything(runner.seed, get_rank(), runner.iter, 0)

    def before_val_epoch(self, runner: Runner) -> None:
        """Seed them for the validation after this iteration."""
        _seed_everything(runner.seed, get_rank(), runner.iter, 1)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Note that this iteration is validated."""
        runner.message_hub.update_info(_VALIDATED, runner.iter)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Note what the order of the data depends on."""
        checkpoint["meta"][_META] = _data_order(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Remember what it depended on, if the run is resumed."""
        if runner._resume:
            self._resumed = dict(checkpoint["meta"].get(_META, {}))


def _seed_everything(*numbers: int) -> None:
    words = np.random.SeedSequence(numbers).generate_state(3)
    torch.manual_seed(int(words[0]))  # of all devices
    np.random.seed(int(words[1]))
    random.seed(int(words[2]))


def _data_order(runner: Runner) -> dict[str, Any]:
    loader = runner.train_dataloader
    return {
        "batch size": loader.batch_size,
        "number of processes": get_world_size(),
        "length of the dataset": len(loader.dataset),
    }


def _validation_is_due(runner: Runner) -> bool:
    """Whether mmengine's training loops validate at this point."""
    loop = runner.train_loop
    if runner.val_loop is None:
        return False
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    now, last = (loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters)
    return now >= loop.val_begin and (now % loop.val_interval == 0 or now == last)


def _check_accumulation(runner: Runner) -> None:
    """Refuse checkpoints between two steps of the optimizer.

    Raises:
        ValueError: if their interval is not a multiple of ``accumulative_counts``.
    """
    counts = getattr(runner.optim_wrapper, "_accumulative_counts", 1)
    for hook in runner.hooks:
        if not isinstance(hook, CheckpointHook) or hook.by_epoch:
            continue
        intervals = [hook.interval] if hook.interval > 0 else []
        if hook.save_best:  # saves after validations too
            intervals.append(runner.train_loop.val_interval)
        wrong = [interval for interval in intervals if interval % counts]
        if wrong:
            raise ValueError(
                f"checkpoints every {wrong[0]} iterations would lose gradients, which are "
                f"accumulated over {counts}: make the interval a multiple of that"
            )
