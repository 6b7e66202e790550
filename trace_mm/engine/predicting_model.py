"""A model in one of several processes that predict."""

from typing import Any

from torch import nn

from trace_mm.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class PredictingModel(nn.Module):
    """MMEngine's wrapper of a model in processes that only predict, and so share no gradients.

    torch's ``DistributedDataParallel`` refuses a model that has nothing to learn: edges from a
    folder, a gradient detector, masks without a refiner.

    Args:
        module: the model.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module: Any = module

    def test_step(self, data: Any) -> list[Any]:
        """Predictions for a batch."""
        predictions: list[Any] = self.module.test_step(data)
        return predictions
