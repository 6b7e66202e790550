"""What tests of training train: a model of one convolution, and a hook that kills its process."""

import os
import signal

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from torch import nn

from trace_mm.registry import HOOKS, MODELS


@MODELS.register_module(force=True)
class TinyEdgeModel(BaseModel):
    """Learns pseudo edges, or else the brightness; the noise makes training random."""

    def __init__(self, noise: float = 0.1, data_preprocessor=None):
        super().__init__(data_preprocessor or {"type": "BaseDataPreprocessor"})
        self.noise = noise
        self.convolution = nn.Conv2d(3, 1, kernel_size=3, padding=1)

    def init_weights(self):
        with torch.no_grad():
            values = torch.linspace(-0.3, 0.3, self.convolution.weight.numel())
            self.convolution.weight.copy_(values.reshape(self.convolution.weight.shape))
            self.convolution.bias.zero_()

    def forward(self, inputs, data_samples=None, mode="predict"):
        if mode == "loss":
            images = torch.stack(list(inputs))
            targets = torch.stack(
                [
                    sample.pseudo_edges if "pseudo_edges" in sample else image.mean(0)
                    for image, sample in zip(images, data_samples, strict=True)
                ]
            )
            noisy = images + self.noise * torch.randn_like(images)
            edges = self.convolution(noisy)[:, 0].sigmoid()
            return {"loss_edge": ((edges - targets) ** 2).mean()}
        for image, sample in zip(inputs, data_samples, strict=True):
            sample.pred_edges = self.convolution(image[None])[0, 0].sigmoid().float().cpu()
            sample.timestep, sample.scores = 0, {}
        return list(data_samples)


@HOOKS.register_module(force=True)
class KillHook(Hook):
    """Kills the process before an iteration, or in the middle of the validation after it.

    Or interrupts it before one, with all processes of its group, as Ctrl-C does.
    """

    priority = "LOWEST"

    def __init__(self, before: int = -1, in_validation_of: int = -1, interrupt_before: int = -1):
        self.before, self.in_validation_of = before, in_validation_of
        self.interrupt_before = interrupt_before

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.before:
            os.kill(os.getpid(), signal.SIGKILL)
        if runner.iter == self.interrupt_before:
            os.killpg(0, signal.SIGINT)

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == self.in_validation_of:
            os.kill(os.getpid(), signal.SIGKILL)
