"""Models with weights that an ``init_cfg`` of MMEngine's names."""

import torch
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from torch import nn

from trace_mm.models.model_config import build_model
from trace_mm.registry import MODELS


@MODELS.register_module()
class TinyInitialised(BaseModel):
    def __init__(self, init_cfg=None):
        super().__init__(init_cfg=init_cfg)
        self.convolution = nn.Conv2d(1, 1, 1)

    def forward(self, inputs, data_samples=None, mode="predict"):
        raise NotImplementedError


def log_of(config, path, name):
    logger = MMLogger.get_instance(name, log_file=str(path))
    MMLogger._instance_dict.move_to_end(name)
    model = build_model(config)
    for handler in logger.handlers:
        handler.flush()
    return model, path.read_text()


def test_weights_are_only_initialised_where_that_is_asked_for(tmp_path):
    _, log = log_of({"type": "TinyInitialised"}, tmp_path / "plain.log", "plain")
    assert log == ""
    saved = TinyInitialised()
    torch.save(saved.state_dict(), tmp_path / "weights.pth")
    loaded = {"type": "Pretrained", "checkpoint": str(tmp_path / "weights.pth")}
    config = {"type": "TinyInitialised", "init_cfg": loaded}
    model, _ = log_of(config, tmp_path / "loaded.log", "loaded")
    assert torch.equal(model.convolution.weight, saved.convolution.weight)
