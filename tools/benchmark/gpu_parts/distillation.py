"""One step of distilling Stable Diffusion 3.5 Large: time, memory, the biggest batch that fits."""

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from capture import measure
from measure import peak_memory
from mmengine.config import Config
from torch import Tensor

from gpu_parts.models import build_backbone, build_student, native_size
from gpu_parts.part import (
    Part,
    Setting,
    SkipError,
    Step,
    Values,
    expect,
    milliseconds,
)
from gpu_parts.running import free_memory
from trace_mm.models import TraceStudent
from trace_mm.models.lora import lora_layers
from trace_mm.runs.memory import lacks_memory
from trace_mm.structures import EdgeDataSample

MODEL = "sd35-large"
CONFIG = Path(__file__).parents[3] / "configs/trace/trace_sd35-large_lora64_coco2014.py"
CARDS = (24, 40, 80)
"""GiB of the cards for which the biggest batch is sought."""


class DistillationPart(Part):
    """A step is forward, backward, clipped gradients and Adam, on cached pseudo-edges.

    Options are the config's: LoRA, decoder, batch, learning rate. On a
    CPU, a card has 64 KiB for each GiB.
    """

    name = f"distillation-{MODEL}"
    seconds = 80.0

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        config = Config.fromfile(CONFIG)
        self.batch = 2 if setting.tiny else int(config.train_dataloader.batch_size)
        self.optimizer = dict(config.optim_wrapper.optimizer)
        self.clip = float(config.optim_wrapper.clip_grad.max_norm)
        self.rank = 4 if setting.tiny else int(config.model.lora.rank)
        self._trained: dict[bool, Training] = {}

    def close(self) -> None:
        """See :class:`Part`."""
        self._trained.clear()

    def checks(self) -> list[Step]:
        """See :class:`Part`."""
        return [Step("losses and gradients, with and without checkpointing", self._check)]

    def measures(self) -> list[Step]:
        """See :class:`Part`."""
        sizes = (1,) if self.batch == 1 else (1, self.batch)
        steps = [
            Step(
                f"batch {batch}, {'with' if saves else 'without'} gradient checkpointing",
                lambda b=batch, s=saves: self._measure(b, s),
            )
            for saves in (True, False)
            for batch in sizes
        ]
        searched = [
            Step(f"biggest batch in {card} GiB", lambda c=card: self._search(c)) for card in CARDS
        ]
        # The last one needs a model of its own, without checkpointing.
        return [*steps[: len(sizes)], *searched, *steps[len(sizes) :]]

    def _training(self, saves: bool) -> "Training":
        """The student with its optimizer; only one is in memory at a time."""
        if saves not in self._trained:
            self.close()
            free_memory()
            self._trained[saves] = Training(self, saves)
        return self._trained[saves]

    def _check(self) -> Values:
        found = {saves: self._training(saves).gradient(1) for saves in (True, False)}
        for saves, (loss, norm) in found.items():
            words = "with" if saves else "without"
            expect(0 < loss < float("inf"), f"{words} checkpointing, the loss is {loss}")
            expect(0 < norm < float("inf"), f"{words} checkpointing, the gradient is {norm}")
        (loss, norm), (other_loss, other_norm) = found.values()
        same = abs(loss - other_loss) <= 0.01 * loss and abs(norm - other_norm) <= 0.05 * norm
        expect(same, f"checkpointing changes loss or gradient: {found}")
        return {"loss": loss, "gradient": norm, "loss_without": other_loss}

    def _measure(self, batch: int, saves: bool) -> Values:
        training = self._training(saves)
        try:
            training.step(batch)  # Adam's moments are there from now on
            times, _ = measure(
                {"step": lambda: training.step(batch)}, self.setting.rounds, self.device
            )
            peak = peak_memory(lambda: training.step(batch), self.device)
        except (RuntimeError, MemoryError) as error:
            if not lacks_memory(error):
                raise
            return {"fits": "no"}
        seconds = statistics.median(times["step"])
        held = training.bytes_held()
        return {
            "fits": "yes",
            "step_ms": milliseconds(seconds),
            "image_ms": milliseconds(seconds / batch),
            "beside_weights_gib": round(peak / 2**30, 3),
            "in_all_gib": round((peak + held) / 2**30, 3),
        }

    def _search(self, card: int) -> Values:
        training = self._training(True)
        most = 3 if self.setting.tiny else 16 if self.setting.quick else 64
        with capped_memory(self.device, card) as limit:
            best, failing = 0, most + 1
            while failing - best > 1:
                batch = min(2 * best or 1, most) if failing > most else (best + failing) // 2
                if training.fits(batch, limit):
                    best = batch
                else:
                    failing = batch
        return {"images": best, "sought_up_to": most}


class Training:
    """A student with LoRA and its optimizer.

    Args:
        part: whose setting it is.
        saves: memory, by gradient checkpointing.
    """

    def __init__(self, part: DistillationPart, saves: bool) -> None:
        self.device, self.clip = part.device, part.clip
        backbone = build_backbone(MODEL, part.setting)
        self.size = native_size(backbone, part.setting)
        self.student: TraceStudent = build_student(
            backbone, self.size, lora={"rank": part.rank}, gradient_checkpointing=saves
        ).train()
        self.grid = self.size // backbone.token
        options = dict(part.optimizer)
        kind = getattr(torch.optim, options.pop("type"))
        self.weights = [one for one in self.student.parameters() if one.requires_grad]
        self.optimizer = kind(self.weights, **options)

    def loss(self, batch: int) -> Tensor:
        """Of random images and pseudo-edges, the same for each call."""
        numbers = torch.Generator().manual_seed(0)
        images = torch.rand(batch, 3, self.size, self.size, generator=numbers).to(self.device)
        edges = torch.rand(batch, self.grid, self.grid, generator=numbers) ** 4
        samples = [EdgeDataSample() for _ in range(batch)]
        for sample, own in zip(samples, edges, strict=True):
            sample.pseudo_edges = own
        losses = self.student(images, samples, mode="loss")
        total: Tensor = sum(value for name, value in losses.items() if "loss" in name)
        return total

    def step(self, batch: int) -> None:
        """Forward, backward, Adam."""
        try:
            self.loss(batch).backward()
            torch.nn.utils.clip_grad_norm_(self.weights, self.clip)
            self.optimizer.step()
        finally:
            self.optimizer.zero_grad()

    def gradient(self, batch: int) -> tuple[float, float]:
        """The loss, and the norm of its gradient in LoRA's matrices."""
        loss = self.loss(batch)
        loss.backward()
        layers = lora_layers(self.student.backbone.denoiser).values()
        gradients = [
            weight.grad.norm()
            for layer in layers
            for weight in layer.parameters()
            if weight.grad is not None
        ]
        norm = float(torch.stack(gradients).norm())
        self.optimizer.zero_grad()
        return float(loss), norm

    def bytes_held(self) -> int:
        """Of weights and Adam's moments."""
        if self.device.type == "cuda":
            return torch.cuda.memory_allocated(self.device)
        states = [
            value
            for state in self.optimizer.state.values()
            for value in state.values()
            if isinstance(value, Tensor)
        ]
        tensors = [*self.student.parameters(), *self.student.buffers(), *states]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def fits(self, batch: int, limit: int) -> bool:
        """Whether a step needs no more than so many bytes, weights included."""
        free_memory()
        try:
            self.step(batch)
            needed = peak_memory(lambda: self.step(batch), self.device) + self.bytes_held()
        except (RuntimeError, MemoryError) as error:
            if not lacks_memory(error):
                raise
            return False
        finally:
            free_memory()
        # On a GPU the allocator has kept to the limit, with what it wastes.
        return self.device.type == "cuda" or needed <= limit


@contextmanager
def capped_memory(device: torch.device, card: int) -> Iterator[int]:
    """Within this context a GPU has the memory of a smaller card; gives its bytes.

    Raises:
        SkipError: if the GPU is smaller than the card.
    """
    if device.type != "cuda":
        yield card * 2**16
        return
    total, limit = torch.cuda.get_device_properties(device).total_memory, card * 2**30
    if total < 0.95 * limit:  # cards have a little less than they are sold with
        raise SkipError(f"the GPU has {total / 2**30:.0f} GiB")
    free_memory()
    torch.cuda.set_per_process_memory_fraction(min(1.0, limit / total), device)
    try:
        yield min(limit, total)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
