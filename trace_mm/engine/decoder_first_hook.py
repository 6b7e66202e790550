"""The decoder learns to read the attention before the attention learns to suit the decoder."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from trace_mm.registry import HOOKS


@HOOKS.register_module()
class DecoderFirstHook(Hook):
    """Trains a student's decoder alone for the first iterations of a run.

    A new decoder's gradients say little, and the passes back through the denoiser that they would
    cost are most of an iteration's time. What is trained depends on the iteration only, so that a
    resumed run goes on as before.

    Args:
        iterations: how many; after them LoRA is trained too.

    Raises:
        ValueError: if it is negative.
    """

    def __init__(self, iterations: int) -> None:
        if iterations < 0:
            raise ValueError(f"iterations must be at least 0, got {iterations}")
        self.iterations = iterations

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Set what is trained."""
        model: Any = runner.model
        student = model.module if is_model_wrapper(model) else model
        student.decoder_only = runner.iter < self.iterations

    def after_train(self, runner: Runner) -> None:
        """Leave the model as it was built."""
        model: Any = runner.model
        student = model.module if is_model_wrapper(model) else model
        student.decoder_only = False
