"""Teacher and student passes of a published model at its native size, as ratios to plain ones."""

import statistics
from collections.abc import Callable
from unittest import mock

import torch
from capture import measure
from measure import peak_memory
from torch import Tensor, nn

from gpu_parts.models import build_backbone, build_student, build_teacher, native_size
from gpu_parts.part import (
    Part,
    Setting,
    SkipError,
    Step,
    Values,
    expect,
    expect_close,
    megabytes,
    milliseconds,
)
from gpu_parts.running import last_line
from trace_mm.diffusion import DiffusionBackbone

MODELS = {"sd15": 30.0, "sdxl": 40.0, "pixart-alpha": 30.0, "sd35-large": 45.0, "flux-dev": 50.0}
"""Seconds that each may take with --quick."""
TIMESTEP = 100


class PassesPart(Part):
    """Passes of one model: attention is right, and how much longer than plain passes it takes.

    A plain pass is the encoder and the denoiser. A student's batch is of images, a teacher's of
    timesteps of one image.
    """

    model: str

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._backbone: DiffusionBackbone | None = None

    def close(self) -> None:
        """See :class:`Part`."""
        self._backbone = None
        torch.compiler.reset()

    def checks(self) -> list[Step]:
        """See :class:`Part`."""
        return [
            Step("capture leaves the output as it is", self._check_output),
            Step("maps are those of the chunked route", self._check_maps),
            Step("edges of teacher and student", self._check_edges),
        ]

    def measures(self) -> list[Step]:
        """See :class:`Part`."""
        students = [
            (f"student, batch {batch}", self._measure_student, batch)
            for batch in self.setting.batches
        ]
        teachers = [
            (f"teacher, timesteps a pass: {batch}", self._measure_teacher, batch)
            for batch in self.setting.batches
        ]
        steps = []
        for kind, grows in ((students, True), (teachers, False)):
            before: tuple[str, int] | None = None
            for name, work, batch in kind:
                after, growth = None, 1.0
                if before is not None:
                    after, growth = before[0], batch / before[1] if grows else 1.0
                steps.append(Step(name, lambda w=work, b=batch: w(b), after, growth))
                before = name, batch
        steps.sort(key=lambda step: step.after is not None)  # first one of each
        # Last, since compilers take what time there is.
        steps.append(Step("CUDA graph of a pass", self._measure_graph))
        steps.append(Step("torch.compile of blocks", self._measure_compiled))
        return steps

    @property
    def backbone(self) -> DiffusionBackbone:
        """Built at first use, kept until the part is closed."""
        if self._backbone is None:
            self._backbone = build_backbone(self.model, self.setting)
        return self._backbone

    @property
    def size(self) -> int:
        """Side of the images in pixels."""
        return native_size(self.backbone, self.setting)

    def _images(self, count: int) -> Tensor:
        """Random images (B, 3, H, W)."""
        return torch.rand(count, 3, self.size, self.size, device=self.device)

    def _noisy(self, count: int = 1) -> Tensor:
        """Random latents (B, C, h', w')."""
        stride, channels = self.backbone.latent_stride, self.backbone.vae.config.latent_channels
        side = self.size // stride
        return torch.randn(count, channels, side, side, device=self.device)

    @torch.no_grad()
    def _check_output(self) -> Values:
        noisy = self._noisy()
        plain = self.backbone.denoise(noisy, TIMESTEP)
        output, attention = self.backbone.denoise_and_attend(noisy, TIMESTEP)
        expect(bool(plain.isfinite().all()), "the output is not finite")
        expect(torch.equal(plain, output), "the output differs from that of a plain pass")
        sums = attention.sum(-1)
        return expect_close(sums, torch.ones_like(sums), rtol=0, atol=1e-3)

    @torch.no_grad()
    def _check_maps(self) -> Values:
        noisy = self._noisy(2)
        found = self.backbone.attention(noisy, TIMESTEP)
        with mock.patch("trace_mm.attention.maps.fused_is_trusted", lambda query: False):
            wanted = self.backbone.attention(noisy, TIMESTEP)
        return expect_close(found, wanted, rtol=5e-3, atol=0.01 / found.shape[-1])

    @torch.no_grad()
    def _check_edges(self) -> Values:
        image = self._images(1)[0]
        models = {
            "teacher": build_teacher(self.backbone, self.size, timestep=TIMESTEP),
            "student": build_student(self.backbone, self.size, lora=None),
        }
        for name, model in models.items():
            edges = model.predict([image])[0].pred_edges
            shape = (self.size, self.size)
            expect(edges.shape == shape, f"{name}: edges are {tuple(edges.shape)}, not {shape}")
            inside = bool(((edges >= 0) & (edges <= 1)).all())  # false of what is no number, too
            expect(inside, f"{name}: edges are not in [0, 1]")
        return {"size": self.size}

    @torch.no_grad()
    def _measure_student(self, batch: int) -> Values:
        student = build_student(self.backbone, self.size, lora=None).eval()
        images = self._images(batch)
        steps: dict[str, Callable[[], object]] = {
            "plain": lambda: self.backbone.denoise(self.backbone.encode(images), student.timestep),
            "student": lambda: student.read(images),
        }
        return self._figures(steps, batch)

    @torch.no_grad()
    def _measure_teacher(self, batch: int) -> Values:
        timesteps = (0, 500, 900) if self.setting.tiny else None
        teacher = build_teacher(self.backbone, self.size, timestep_batch=batch, timesteps=timesteps)
        image, passes = self._images(1)[0], len(teacher.timesteps)

        def plain() -> None:
            latents = self.backbone.encode(image[None])
            for start in range(0, passes, batch):
                now = latents.expand(min(batch, passes - start), -1, -1, -1)
                self.backbone.denoise(now, TIMESTEP)

        steps = {"plain": plain, "teacher": lambda: teacher.predict([image])}
        return {"passes": passes, **self._figures(steps, 1)}

    def _figures(self, steps: dict[str, Callable[[], object]], images: int) -> Values:
        """Milliseconds an image and MiB beside the weights of each step, and the last's ratio."""
        times, ratios = measure(steps, self.setting.rounds, self.device)
        found: Values = {}
        for name, work in steps.items():
            found[f"{name}_ms"] = milliseconds(statistics.median(times[name]) / images)
            found[f"{name}_mib"] = megabytes(peak_memory(work, self.device))
        if self.device.type == "cuda":
            found["with_weights_mib"] = megabytes(torch.cuda.max_memory_allocated(self.device))
        return {**found, "ratio": round(statistics.median(ratios[list(steps)[-1]]), 3)}

    @torch.no_grad()
    def _measure_compiled(self) -> Values:
        """Passes with blocks that are compiled, beside eager ones; leaves the backbone eager."""
        first = next(iter(MODELS))
        if self.setting.tiny and self.model != first:
            raise SkipError(f"tiny models are all compiled alike: see passes-{first}")
        noisy = self._noisy()
        eager = {
            "plain": lambda: self.backbone.denoise(noisy, TIMESTEP),
            "attention": lambda: self.backbone.attention(noisy, TIMESTEP),
        }
        wanted = self.backbone.attention(noisy, TIMESTEP)
        found: Values = {}
        blocks = transformer_blocks(self.backbone.denoiser)
        options: dict[str, str] = {}
        if self.setting.tiny:  # to see that it runs: one block, and no code is made
            blocks, options = blocks[:1], {"backend": "eager"}
        for name, work in eager.items():
            before, _ = measure({name: work}, self.setting.rounds, self.device)
            torch.compiler.reset()  # what was compiled without hooks would be used with them
            for block in blocks:
                block.compile(**options)
            try:
                after, _ = measure({name: work}, self.setting.rounds, self.device)
                if name == "attention":
                    found |= expect_close(work(), wanted, rtol=0.05, atol=0.05 / wanted.shape[-1])
            finally:
                for block in blocks:
                    block._compiled_call_impl = None
            times = [statistics.median(one[name]) for one in (before, after)]
            found[f"{name}_eager_ms"], found[f"{name}_compiled_ms"] = map(milliseconds, times)
            found[f"{name}_ratio"] = round(times[1] / times[0], 3)
        return found

    @torch.no_grad()
    def _measure_graph(self) -> Values:
        """A pass that is recorded and replayed, beside one that is launched kernel by kernel."""
        noisy, timestep = self._noisy(), torch.tensor(TIMESTEP, device=self.device)
        works: dict[str, Callable[[], Tensor]] = {
            "plain": lambda: self.backbone.denoise(noisy, timestep),
            "attention": lambda: self.backbone.attention(noisy, timestep),
        }
        found: Values = {}
        for name, work in works.items():
            wanted = work()
            if self.device.type != "cuda":
                continue
            with torch.cuda.device(self.device):
                try:
                    graph, output = record_graph(work)
                except RuntimeError as error:
                    if "captur" not in str(error):
                        raise
                    # Of a model that copies a number from the CPU in each pass, for instance.
                    raise SkipError(f"{name}: cannot be recorded: {last_line(error)}") from error
                graph.replay()
                found |= expect_close(output, wanted, rtol=0.05, atol=0.05 * _scale(wanted))
                times, ratios = measure(
                    {"launched": work, "replayed": graph.replay}, self.setting.rounds, self.device
                )
            found[f"{name}_launched_ms"] = milliseconds(statistics.median(times["launched"]))
            found[f"{name}_replayed_ms"] = milliseconds(statistics.median(times["replayed"]))
            found[f"{name}_ratio"] = round(statistics.median(ratios["replayed"]), 3)
        if not found:
            raise SkipError("CUDA graphs need a GPU; the pass itself ran")
        return found


def transformer_blocks(denoiser: nn.Module) -> list[nn.Module]:
    """The blocks that a denoiser repeats; compiled one by one, they share their code."""
    return [
        block
        for name, blocks in denoiser.named_modules()
        if name.rpartition(".")[2] in ("transformer_blocks", "single_transformer_blocks")
        for block in blocks.children()
    ]


def record_graph(work: Callable[[], Tensor]) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    """A CUDA graph of a call, and the tensor into which it writes when it is replayed."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):  # what is chosen or allocated at first use must not be recorded
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = work()
    return graph, output


def _scale(tensor: Tensor) -> float:
    return float(tensor.abs().mean())


def passes_of(model: str) -> type[PassesPart]:
    """The part of one model."""
    return type(
        f"PassesOf_{model.replace('-', '_')}",
        (PassesPart,),
        {"name": f"passes-{model}", "model": model, "seconds": MODELS[model]},
    )
