"""The TRACE student: instance edges in one forward pass (paper Sec. 3.4, App. C.5, Alg. 3)."""

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from trace_mm.diffusion import content_seed, load_recommended, seeded_noise
from trace_mm.models import student_pass
from trace_mm.models.distillation import distillation, label_shares
from trace_mm.models.first_reading import FirstReading
from trace_mm.models.label_watch import LabelWatch
from trace_mm.models.lora import add_lora, lora_disabled
from trace_mm.models.object_tiles import ObjectSize, Tiling
from trace_mm.models.options import (
    check_calibration,
    check_enlargement,
    check_key_cell,
    student_options,
)
from trace_mm.models.sizes import resize_images, working_size
from trace_mm.models.student_pass import (
    StudentPass,
    edges_at,
    image_name,
    stack_images,
    stack_labels,
    tile_edges,
)
from trace_mm.models.student_state import StudentState
from trace_mm.models.student_weights import load_student_weights
from trace_mm.models.teacher import teacher_of
from trace_mm.registry import MODELS
from trace_mm.runner_model import RunnerModel
from trace_mm.structures import EdgeDataSample

PAPER_LORA: Mapping[str, Any] = MappingProxyType({"rank": 64})


@MODELS.register_module()
class TraceStudent(StudentState, RunnerModel):
    """Reads instance edges out of one pass through a fine-tuned diffusion model.

    The denoiser sees the image at the least noisy timestep. Its fused self-attention (Eq. 8) goes
    to a small edge decoder. LoRA matrices in its transformer layers and the decoder are trained;
    the denoiser itself, the VAE and the empty prompt are not. The loss is the masked Dice loss
    (Eq. 10) to the teacher's edges, plus the error of the image that the denoiser reconstructs.

    Edges are compared at the image's size, to which the decoder's logits are enlarged as they are
    for a prediction: so training minds what the enlargement does, and thin pseudo-edges are not
    blurred by being made small. The statistics of the ternary map (Alg. 2) are those of the
    teacher's token grid.

    The losses come with the shares of edge, interior and uncertain pixels, for the log.

    As with the teacher, a result depends on the image alone, not on its batch, order or name.

    While the attribute ``decoder_only`` is set (:class:`trace_mm.engine.DecoderFirstHook`), the
    loss is that of the edges alone and its gradient stops at the decoder.

    Args:
        backbone: arguments of :func:`trace_mm.diffusion.load_backbone`; ``pretrained`` names the
            model.
        decoder: config of an edge decoder, see ``trace_mm.models.decoders``.
        teacher: asked for the edges of training images that come without ``pseudo_edges``: options
            of :class:`TraceTeacher`, which then uses this model's weights and layers without LoRA,
            or the config of another model with a ``type`` and a ``backbone`` of its own, such as
            an earlier student's with its ``checkpoint``.
        lora: arguments of :func:`trace_mm.models.lora.add_lora`; None trains the decoder only.
        timestep: of the pass; the backbone's least noisy one if None.
        size: side in pixels of the square area at which the model is shown an image; the model's
            native size if None. A decoder that has a fixed ``grid`` is always shown that grid.
        max_enlargement: how many times as large, a side, images are shown at most; None: any.
        train_size: likewise in training, of which predictions know nothing; ``size`` if None.
        calibration: scale and offset of the logits, which make an edge of 0.7 a border in 7 of 10
            cases (``tools/calibrate_edges.py`` finds them); None leaves logits as they are.
        key_cell: in predictions, side in tokens of the cells to which the finest attention layers
            attend if they are not read (:class:`trace_mm.attention.PooledKeys`). More than 1 saves
            time; 1 computes them as in training.
        tile: predict images larger than this many pixels a side in tiles of that size, each shown
            to the model like an image; "auto" is ``size``.
        tile_overlap: the least part of a tile that its neighbour covers too.
        object_size: see :class:`trace_mm.models.TraceTeacher`; ``max_enlargement`` gives way to it.
        preset: ``"paper"`` starts from what the paper does instead of what we do: ``timestep`` 0,
            and the options of :data:`trace_mm.models.distillation.PAPER`. Options that are given
            count all the same.
        edge_loss: this and the next six are options of
            :class:`trace_mm.models.distillation.Distillation`; None is the preset's.
        doubt: likewise.
        pseudo_label: likewise.
        label_grid: likewise.
        dice_smoothing: likewise.
        reconstruction: likewise, but ``"auto"`` is the preset's, and None is no such loss.
        reconstruction_weight: likewise.
        gradient_checkpointing: spend time to save memory in training.
        seed: of the noise.
        checkpoint: to start from: a file or folder of :func:`save_student`, a file of MMEngine's,
            or the name of a shipped model, for its student.
        data_preprocessor: of MMEngine; casts to the device by default.

    Raises:
        ValueError: if an option is not one of those named here.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        decoder: dict[str, Any],
        teacher: dict[str, Any] | None = None,
        lora: Mapping[str, Any] | None = PAPER_LORA,
        timestep: int | None = None,
        size: int | None = None,
        train_size: int | None = None,
        max_enlargement: float | None = None,
        preset: str | None = None,
        edge_loss: str | None = None,
        doubt: float | None = None,
        pseudo_label: str | None = None,
        label_grid: str | None = None,
        dice_smoothing: float | None = None,
        reconstruction: str | None = "auto",
        reconstruction_weight: float | None = None,
        gradient_checkpointing: bool = False,
        seed: int = 0,
        checkpoint: str | None = None,
        calibration: Sequence[float] | None = None,
        key_cell: int = 1,
        tile: int | Literal["auto"] | None = None,
        tile_overlap: float = 0.25,
        object_size: ObjectSize | None = None,
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor)
        self.distillation = distillation(
            preset,
            edge_loss=edge_loss,
            doubt=doubt,
            pseudo_label=pseudo_label,
            label_grid=label_grid,
            dice_smoothing=dice_smoothing,
            reconstruction=reconstruction,
            reconstruction_weight=reconstruction_weight,
        )
        self._label_watch = LabelWatch(self.distillation.pseudo_label)
        self.backbone, recommended = load_recommended(**backbone)
        chosen = student_options(
            {"timestep": timestep, "size": size, "preset": preset}, self.backbone
        )
        self.timestep, self.size = chosen["timestep"], chosen["size"]
        self.train_size = train_size or self.size
        self.max_enlargement = check_enlargement(max_enlargement)
        self.key_cell = check_key_cell(key_cell)
        self.backbone.check_timestep(self.timestep)
        self.tiling = Tiling(object_size, tile, self.size, self.backbone.token)
        self.tile = self.tiling.tile
        self.tile_overlap = tile_overlap
        self.calibration = check_calibration(calibration)
        self.seed = seed
        self.decoder_only = False
        # In a tuple: weights that are not the student's must not be among its parameters.
        self._teacher = (teacher_of(self.backbone, teacher, backbone, recommended),)
        identity = self.describe_backbone(backbone)
        if lora is not None and self.backbone.offload:
            raise ValueError("offload is for predictions: LoRA cannot be trained beside it")
        settings = None if lora is None else add_lora(self.backbone.denoiser, **lora)
        self.decoder = MODELS.build(decoder)
        self.describe(
            identity,
            lora=settings,
            decoder=decoder,
            timestep=self.timestep,
            size=self.size,
            seed=seed,
            **({} if calibration is None else {"calibration": [*self.calibration]}),
            **({} if max_enlargement is None else {"max_enlargement": max_enlargement}),
            **({} if key_cell == 1 else {"key_cell": key_cell}),
        )
        if gradient_checkpointing:
            self.backbone.enable_gradient_checkpointing()
        if checkpoint is not None:
            load_student_weights(self, checkpoint)
        self._first = FirstReading(self.decoder) if self.distillation.doubt < 1 else None

    def train(self, mode: bool = True) -> "TraceStudent":
        """Set the decoder to training or evaluation; the backbone is always in evaluation."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(
        self,
        inputs: Sequence[Tensor] | Tensor,
        data_samples: Sequence[EdgeDataSample] | None = None,
        mode: str = "predict",
    ) -> Any:
        """MMEngine's entry point.

        Args:
            inputs: float (3, H, W) in [0, 1] each; of one size unless the mode is ``"predict"``.
            data_samples: one an image.
            mode: ``"loss"``, ``"predict"``, or ``"tensor"`` for the decoder's logits.

        Raises:
            ValueError: in any other mode.
        """
        samples = data_samples or [EdgeDataSample() for _ in inputs]
        if mode == "loss":
            return self.loss(inputs, samples)
        if mode == "predict":
            return self.predict(inputs, samples)
        if mode == "tensor":
            text = self.backbone.text_of(samples)
            return self.read(stack_images(inputs), text, key_cell=self.key_cell)
        raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")

    def loss(
        self, inputs: Sequence[Tensor] | Tensor, data_samples: Sequence[EdgeDataSample]
    ) -> dict[str, Tensor]:
        """Losses of a batch (Alg. 3, Eq. 10).

        Args:
            inputs: float (3, H, W) in [0, 1] each, all of one size.
            data_samples: one an image, with ``pseudo_edges`` in [0, 1], (H, W) or on the teacher's
                token grid, unless there is a teacher.

        Returns:
            ``loss_edge`` and, unless switched off, ``loss_reconstruction``: the mean over images;
            ``labels_edge``, ``labels_interior`` and ``labels_uncertain``: shares, (B,).

        Raises:
            ValueError: if sizes differ, or pseudo-edges are missing and there is no teacher.
        """
        images = stack_images(inputs)
        self.note_dtype(images.device)
        strength = self._pseudo_edges(images, data_samples)  # (B, 1, h, w)
        kind = None if self.decoder_only else self.distillation.reconstruction
        text = self.backbone.text_of(data_samples)
        found = None if kind is None else self.run(images, text)
        logits = self.read(images, text) if found is None else found.logits
        with torch.autocast(images.device.type, enabled=False):
            first = getattr(self._first, "logits", None)
            edge_loss, labels = self.distillation.compare(logits, strength, images.shape[2:], first)
            losses = {"loss_edge": edge_loss}
            if found is not None and kind is not None:
                error = student_pass.reconstruction_error(found, kind, self.backbone.decode)
                losses["loss_reconstruction"] = self.distillation.reconstruction_weight * error
            else:
                # Gives every LoRA matrix a gradient, if of zeros: distributed training waits for
                # each, and attention does not depend on those after the last layer that is read.
                trained = (part for part in self.parameters() if part.requires_grad)
                losses["loss_edge"] += 0.0 * torch.stack([part.sum() for part in trained]).sum()
        shares = label_shares(labels)
        if self.distillation.edge_loss == "dice":
            self._label_watch.see(shares)
        return {**losses, **{f"labels_{name}": share for name, share in shares.items()}}

    @torch.no_grad()
    def predict(
        self,
        inputs: Sequence[Tensor] | Tensor,
        data_samples: Sequence[EdgeDataSample] | None = None,
    ) -> list[EdgeDataSample]:
        """Edges of images.

        Args:
            inputs: float (3, H, W) in [0, 1] each; sizes may differ.
            data_samples: one an image; the prediction is added to it. New ones if None.

        Returns:
            The samples, with ``pred_edges`` (H, W) float32 in [0, 1] on the CPU, ``timestep``,
            empty ``scores``, and of images that are not cut into tiles and not smaller than the
            decoder's grid, ``token_edges`` (h * k, w * k), the same on that.
        """
        samples = data_samples or [EdgeDataSample() for _ in inputs]
        for image, sample in zip(inputs, samples, strict=True):
            sample.timestep, sample.scores = self.timestep, {}
            text = self.backbone.text_of([sample])
            tile, enlargement = self.tiling.of(image)
            read = partial(self.read, text=text, enlargement=enlargement, key_cell=self.key_cell)
            if tile is not None:
                sample.pred_edges = tile_edges(image, tile, self.tile_overlap, read)
                continue
            logits = read(image[None])
            sample.pred_edges = edges_at(logits, image)
            if logits.shape[2] <= image.shape[1] and logits.shape[3] <= image.shape[2]:
                sample.token_edges = logits.float().sigmoid()[0, 0].cpu()
        return list(samples)

    def run(self, images: Tensor, text: Mapping[str, Tensor] | None = None) -> StudentPass:
        """One pass through denoiser and decoder. Differentiable with respect to what is trained.

        Args:
            images: (B, 3, H, W) in [0, 1].
            text: their prompts, see :meth:`trace_mm.diffusion.DiffusionBackbone.denoise`.

        Raises:
            ValueError: if the shape is another.
        """
        shown, latents, noise = self._noise(images)
        noisy = self.backbone.add_noise(latents, noise, self.timestep)
        output, attention = self.backbone.denoise_and_attend(noisy, self.timestep, text)
        return StudentPass(
            images=shown,
            latents=latents,
            wanted=self.backbone.wanted_output(latents, noise, self.timestep),
            output=output,
            reconstruction=self.backbone.reconstruct(noisy, output, self.timestep, noise),
            logits=self._decode(attention, latents),
        )

    def read(
        self,
        images: Tensor,
        text: Mapping[str, Tensor] | None = None,
        enlargement: float | None = None,
        key_cell: int = 1,
    ) -> Tensor:
        """The logits of :meth:`run` alone; ends the denoiser's pass after its last attention.

        Args:
            images: (B, 3, H, W) in [0, 1].
            text: see :meth:`run`.
            enlargement: that ``max_enlargement`` gives way to.
            key_cell: see :meth:`trace_mm.diffusion.DiffusionBackbone.attention`.

        Returns:
            (B, 1, h * k, w * k), k the decoder's upsampling.

        Raises:
            ValueError: if the shape is another.
        """
        _, latents, noise = self._noise(images, enlargement)
        noisy = self.backbone.add_noise(latents, noise, self.timestep)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.decoder_only):
            attention = self.backbone.attention(noisy, self.timestep, text, key_cell)
        return self._decode(attention, latents)

    def _decode(self, attention: Any, latents: Tensor) -> Tensor:
        """Calibrated logits (B, 1, h * k, w * k)."""
        grid = self.backbone.grid(latents)
        logits: Tensor = self.decoder(attention, grid, latents)
        if self._first is not None:
            self._first.read(attention, grid, latents)
        scale, offset = self.calibration
        return logits * scale + offset

    def _noise(
        self, images: Tensor, enlargement: float | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Images as they are shown (B, 3, h, w), their latents (B, C, h', w'), and their noise."""
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images must be (3, H, W) each, got {tuple(images.shape[1:])}")
        shown = resize_images(
            images.to(self.backbone.device), self._working_size(images.shape[2:], enlargement)
        )
        latents = self.backbone.encode(shown)
        shape = (1, *latents.shape[1:])
        noise = [seeded_noise(content_seed(self.seed, image), shape)[0] for image in images]
        return shown, latents, torch.cat(noise).to(latents.device)  # noise: (B, C, h', w')

    def _working_size(self, size: torch.Size, enlargement: float | None) -> tuple[int, int]:
        """The size at which an image of this size is shown to the model."""
        grid = getattr(self.decoder, "grid", None)
        if grid is not None:
            return grid[0] * self.backbone.token, grid[1] * self.backbone.token
        side = self.train_size if self.training else self.size
        own = (size[0], size[1])
        most = self.max_enlargement and max(self.max_enlargement, enlargement or 1)
        return working_size(own, side, self.backbone.size_multiple, most)

    def _pseudo_edges(self, images: Tensor, samples: Sequence[EdgeDataSample]) -> Tensor:
        """The teacher's edge strength (B, 1, h, w) of a batch, on its token grid if it has one."""
        found = {}
        for number, (image, sample) in enumerate(zip(images, samples, strict=True)):
            name = image_name(sample, number)
            edges = sample.get("pseudo_edges")
            if edges is None:
                edges = self._ask_teacher(image, sample, name)
            found[number, name] = edges
        return stack_labels(found, images)

    @torch.no_grad()
    def _ask_teacher(self, image: Tensor, sample: EdgeDataSample, name: str) -> Tensor:
        """The teacher's edges of an image, on its token grid (h, w) or (H, W)."""
        (teacher,) = self._teacher
        if teacher is None:
            raise ValueError(
                f"{name} has no pseudo-edges and the student has no teacher to make them: "
                "cache them beforehand, or give the student the option teacher"
            )
        teacher.to(self.backbone.device)
        with (
            lora_disabled(self.backbone.denoiser),
            torch.autocast(image.device.type, enabled=False),
        ):
            found = teacher.predict([image], [EdgeDataSample(metainfo=sample.metainfo)])[0]
            return found.get("token_edges", found.pred_edges)
