"""What MMEngine's runner asks of a model.

``mmengine.model.BaseModel`` is that too, but its import brings in MMEngine's optimizers, and with
them transformers' trainer and peft: seconds that a prediction has no use for. So it is asked for
what it does once a runner is there, which has imported it anyway.
"""

from abc import ABC
from collections.abc import Callable
from typing import Any, Self

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn


class RunnerModel(nn.Module, ABC):
    """A model that MMEngine's runner can train and test: a light ``BaseModel``.

    A subclass has ``forward(inputs, data_samples, mode)``, with ``mode`` ``"loss"``, ``"predict"``
    or ``"tensor"``.

    Args:
        data_preprocessor: config of what prepares the runner's batches; None casts them to the
            model's device.
    """

    def __init__(self, data_preprocessor: dict[str, Any] | None = None) -> None:
        super().__init__()
        self._preprocessor: Any = None
        if data_preprocessor is not None:
            self._preprocessor = MODELS.build(data_preprocessor)
        self._input_device = torch.device("cpu")

    @property
    def data_preprocessor(self) -> nn.Module:
        """What prepares a runner's batches."""
        if self._preprocessor is None:
            # Not as a submodule: it has no weights, and a wrapper may have counted the modules.
            self.__dict__["_preprocessor"] = _mmengine_model().BaseDataPreprocessor()
        preprocessor: nn.Module = self._preprocessor
        return preprocessor.to(self._input_device)

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """Losses of a batch, after a step of the optimizer."""
        logged: dict[str, Tensor] = _base().train_step(self, data, optim_wrapper)
        return logged

    def val_step(self, data: Any) -> list[Any]:
        """Predictions for a batch."""
        predictions: list[Any] = _base().val_step(self, data)
        return predictions

    def test_step(self, data: Any) -> list[Any]:
        """Predictions for a batch."""
        return self.val_step(data)

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum of losses, and what is logged."""
        parsed: tuple[Tensor, dict[str, Tensor]] = _base().parse_losses(self, losses)
        return parsed

    def _run_forward(self, data: Any, mode: str) -> Any:
        return _base()._run_forward(self, data, mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """What ``to``, ``cuda`` and ``half`` call."""
        self._input_device = fn(torch.zeros(0, device=self._input_device)).device
        return super()._apply(fn, recurse)


def _base() -> Any:
    return _mmengine_model().BaseModel


def _mmengine_model() -> Any:
    import mmengine.model

    return mmengine.model
