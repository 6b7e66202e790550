"""Training with weights, gradients and optimizer sharded over processes (FSDP)."""

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmengine
import torch
from mmengine._strategy import FSDPStrategy
from mmengine.dist import is_distributed, is_main_process
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.distributed.fsdp import (
    FullOptimStateDictConfig,
    FullStateDictConfig,
    FullyShardedDataParallel,
)

from trace_mm.files import write_atomically
from trace_mm.models.student_state import drop_backbone
from trace_mm.registry import STRATEGIES


@STRATEGIES.register_module()
class StudentFSDPStrategy(FSDPStrategy):
    """mmengine's ``FSDPStrategy``, for students, on GPUs and on CPUs.

    - The student is one unit: whole during a step, sharded in between. Units of single blocks fail
      in the backward pass, since the loss reads the attention inside them.
    - A checkpoint is one file, of the same content as one of a run in a single process: LoRA and
      decoder, without the frozen backbone. It is written whole or not at all.
    - mmengine 0.10 cannot load the optimizer's state: it calls torch by an order of arguments that
      changed in torch 2.1.
    - mmengine clips each shard of the gradients by its own norm; here the norm is the whole one's.
    - mmengine asks for a GPU even where there is none.

    It goes with ``runner_type="FlexibleRunner"`` and a launcher.

    Args:
        model_wrapper: options of mmengine's ``MMFullyShardedDataParallel``, such as
            ``mixed_precision``; not ``auto_wrap_policy``.
        **kwargs: other arguments of ``FSDPStrategy``.

    Raises:
        ValueError: for options that cannot work, and without a launcher.
    """

    def __init__(self, *, model_wrapper: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if kwargs.setdefault("state_dict_cfg", "full") != "full":
            raise ValueError(
                "a student's checkpoint is one file: state_dict_cfg must be 'full', "
                f"got {kwargs['state_dict_cfg']!r}"
            )
        wrapper = {"use_orig_params": True, **(model_wrapper or {})}
        if not wrapper["use_orig_params"]:
            raise ValueError("frozen beside trained weights need use_orig_params=True")
        if "auto_wrap_policy" in wrapper:
            raise ValueError(
                "a student is sharded as one unit, without auto_wrap_policy: its loss reads the "
                "attention inside blocks, where FSDP does not gather a block's weights again"
            )
        if not torch.cuda.is_available():
            wrapper.setdefault("device_id", torch.device("cpu"))
        super().__init__(model_wrapper=wrapper, **kwargs)
        if not torch.cuda.is_available():
            # Where all is on the CPU, torch "offloads" to memory that it then frees or overwrites.
            self.state_dict_config = FullStateDictConfig(False, rank0_only=True)
            self.optim_state_dict_config = FullOptimStateDictConfig(False, rank0_only=True)
        if not is_distributed():
            raise ValueError("StudentFSDPStrategy needs several processes: start with a launcher")

    def build_optim_wrapper(self, optim_wrapper: Any, model: nn.Module | None = None) -> Any:
        """As mmengine does, but with gradients clipped by the norm over all shards."""
        built = super().build_optim_wrapper(optim_wrapper, model)
        if getattr(built, "clip_func", None) is nn.utils.clip_grad_norm_:
            _clip_over_shards(built, model)
        return built

    def model_state_dict(self) -> dict[str, Any]:
        """LoRA, decoder and description in the main process, nothing in the others."""
        state: dict[str, Any] = super().model_state_dict()
        drop_backbone(state)
        whole: dict[str, Any] = _detached(state)
        return whole

    def optim_state_dict(self) -> dict[str, Any]:
        """The whole optimizer's state, by names of parameters, in the main process."""
        state: dict[str, Any] = FullyShardedDataParallel.optim_state_dict(
            self.model, self.optim_wrapper.optimizer
        )
        whole: dict[str, Any] = _detached(state)
        return whole

    def load_optim_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take this process's part of the whole optimizer's state."""
        optimizer = self.optim_wrapper.optimizer
        shard = FullyShardedDataParallel.optim_state_dict_to_load(
            model=self.model, optim=optimizer, optim_state_dict=state_dict
        )
        self.optim_wrapper.load_state_dict(shard)

    def save_checkpoint(
        self,
        filename: str,
        *,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        extra_ckpt: dict[str, Any] | None = None,
        callback: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """Gather the shards and write them to one file; all processes must take part."""
        checkpoint: dict[str, Any] = {"state_dict": self.model_state_dict()}
        if save_optimizer and hasattr(self, "optim_wrapper"):
            checkpoint["optimizer"] = self.optim_state_dict()
        if save_param_scheduler and hasattr(self, "param_schedulers"):
            checkpoint["param_schedulers"] = self.scheduler_state_dict()
        checkpoint.update(extra_ckpt or {})
        checkpoint["meta"] = {
            **checkpoint.get("meta", {}),
            "seed": self.seed,
            "time": time.strftime("%Y%m%d_%H%M%S"),
            "mmengine": mmengine.__version__,
        }
        if callback is not None:
            callback(checkpoint)
        if is_main_process():
            buffer = io.BytesIO()
            torch.save(checkpoint, buffer)
            write_atomically(Path(filename), buffer.getvalue())


def _detached(value: Any) -> Any:
    """Copies of tensors at any depth: a file would hold all of the memory that they are part of."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {name: _detached(part) for name, part in value.items()}
    return value


def _clip_over_shards(wrapper: OptimWrapper, model: Any) -> None:
    """Make an optimizer wrapper clip by the norm over all shards of the model's gradients."""
    options = dict(wrapper.clip_grad_kwargs)
    odd = sorted(set(options) - {"max_norm", "norm_type"})
    if odd:
        raise ValueError(f"clip_grad takes max_norm and norm_type under FSDP, got {', '.join(odd)}")

    def clip() -> None:
        # Also where no trained weight lies in this process's shard: the norm is a joint effort.
        norm = model.clip_grad_norm_(**options)
        wrapper.message_hub.update_scalar(f"train/{wrapper.grad_name}", float(norm))

    wrapper._clip_grad = clip
