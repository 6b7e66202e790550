"""Images in, instance edges out: the one class that most users need."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from mmengine.config import Config
from numpy.typing import NDArray

from trace_mm.apis.image_sources import ImageSource, ImageSources
from trace_mm.apis.inputs import expand_inputs
from trace_mm.console import note
from trace_mm.diffusion import backbone_of_pipeline, denoiser_identity
from trace_mm.files import check_outputs, load_image
from trace_mm.jobs.edge_files import (
    check_save_kinds,
    edges_to_8_bit,
    overlay_of,
    scores_of,
    write_results,
)
from trace_mm.jobs.edge_predictions import predict_samples
from trace_mm.jobs.edge_sources import EdgeModel
from trace_mm.jobs.places import MANIFEST_FILE, result_folders
from trace_mm.models import TraceTeacher
from trace_mm.models.devices import check_device, device_kind
from trace_mm.models.identity import RESULTS
from trace_mm.models.model_config import method_of, model_config
from trace_mm.registry import INFERENCERS
from trace_mm.runs.progress import progress_bar
from trace_mm.structures import EdgeDataSample, edges_of

_SHOWN_OPTIONS = ("size", "tile", "seed", "timestep", "noise_draws")  # in a repr
_FEW = 3  # images for which no progress bar is drawn


@INFERENCERS.register_module()
class TraceInferencer:
    """Finds instance edges in images.

    Its methods are those of MMEngine's ``BaseInferencer``, whose import would bring in the runner.

    Args:
        model: a shipped name (None is the photo student), a folder of ``trace-mm export``, its hub
            id, a student's checkpoint, a diffusers folder, a hub id such as
            ``"stable-diffusion-v1-5/stable-diffusion-v1-5"``, a config file, or a config dict,
            whole or of the model alone.
        method: ``"student"``: a model that was trained to read edges in one pass. ``"teacher"``:
            read them out of a diffusion model itself, without training. None is what a config
            says, and else the student.
        device: such as ``"cuda:1"``; None is ``"cuda"`` where there is one, else ``"cpu"``.
        dtype: of the denoiser: ``"float32"``, ``"float16"`` or ``"bfloat16"``. If None what a
            config says, of a student what it was trained in (on a CPU without instructions for
            that float32, with a note), and else float32.
        show_progress: draw a progress bar on stderr, where there are more than a few images.
        backbone: folder or hub id of a student's backbone, if it is not where the student says.
            Without a model: the backbone whose edges are read, without training; also a name of
            ``trace-mm backbones`` or a config file.
        size: show images to the model at ``size`` x ``size`` pixels or the same area. None, here
            and below, is what the model or its config says.
        tile: cut larger images into tiles of so many pixels; ``"auto"`` is the size at which the
            model sees images.
        seed: of the noise.
        timestep: at which edges are read; ``"iep"`` (teacher only) searches for the one at which
            instances emerge.
        noise_draws: average the attention over so many draws of noise (teacher only).
        prompts: a JSON file of a prompt by image name, see
            :func:`trace_mm.diffusion.load_backbone`.
        model_options: other arguments of the model, by name; see
            :class:`trace_mm.models.TraceStudent`, :class:`trace_mm.models.TraceTeacher` and
            :class:`trace_mm.models.VisionTeacher`.

    Raises:
        FileNotFoundError: if there is no such model.
        ValueError: if an option is wrong or another method's, or the model has no student.

    Examples:
        >>> inferencer = TraceInferencer(size=128)  # quicker than the student's own 384
        >>> result = inferencer("photo.jpg")["predictions"][0]
        >>> result["edges"].shape, float(result["edges"].max()) <= 1
        ((96, 128), True)
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | dict[str, Any] | Config | None = None,
        method: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        show_progress: bool = True,
        backbone: str | os.PathLike[str] | None = None,
        *,
        size: int | None = None,
        tile: int | Literal["auto"] | None = None,
        seed: int | None = None,
        timestep: int | Literal["iep"] | None = None,
        noise_draws: int | None = None,
        prompts: str | os.PathLike[str] | None = None,
        model_options: Mapping[str, Any] | None = None,
    ) -> None:
        options: dict[str, Any] = {"size": size, "seed": seed, "timestep": timestep}
        options |= {"noise_draws": noise_draws, "tile": tile}
        options |= model_options or {}
        chosen = {name: value for name, value in options.items() if value is not None}
        self.device = torch.device(check_device(device))
        self.show_progress = show_progress
        self.cfg = model_config(model, method, dtype, chosen, backbone, self.device, prompts)
        self.method = method_of(self.cfg.model)
        edges = EdgeModel(self.cfg.model, self.device)
        self.model: Any = edges.model
        self._settings = edges.settings()
        self._is_shared = False

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike[str], **options: Any) -> Self:
        """An inferencer of a student or backbone on a hub or in a folder, by its name.

        Args:
            name: a hub id or a folder.
            options: arguments of the class.

        Raises:
            FileNotFoundError: if there is no such model, or the hub does not give it; says why.
            ValueError: see the class.
        """
        return cls(name, **options)

    @classmethod
    def from_pipeline(
        cls, pipeline: Any, *, layers: str | None = None, show_progress: bool = True, **options: Any
    ) -> Self:
        """An inferencer that reads the diffusion model of a pipeline which is in memory.

        No second copy is made of it, and the pipeline keeps working; see
        :func:`trace_mm.diffusion.backbone_of_pipeline`. Edges are the teacher's.

        Args:
            pipeline: a text-to-image ``DiffusionPipeline``, on the device that is to be used.
            layers: a regular expression; only self-attention layers whose name it finds are read.
            show_progress: as for the class.
            options: arguments of :class:`trace_mm.models.TraceTeacher`.

        Raises:
            ValueError: if the pipeline is of another kind or offloaded, or an option is wrong.
        """
        backbone = backbone_of_pipeline(pipeline, layers)
        inferencer = cls.__new__(cls)
        inferencer.device, inferencer.show_progress = backbone.device, show_progress
        inferencer.method, inferencer._is_shared = "teacher", True
        inferencer.cfg = Config({"model": {"type": "TraceTeacher", **options}})
        inferencer.model = TraceTeacher((backbone, {}), **options).to(backbone.device).eval()
        inferencer._settings = {
            "results": RESULTS,
            "model": "TraceTeacher",
            **options,
            "layers": layers,
            "backbone": denoiser_identity(backbone.denoiser),
            "device": backbone.device.type,
        }
        return inferencer

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as what it is made of: another process loads the model itself."""
        if self._is_shared:
            raise TypeError(
                "a pipeline in memory cannot be handed to another process: give its folder or hub "
                "id instead, or work in one process"
            )
        return _restore, (type(self), self.cfg.to_dict(), str(self.device), self.show_progress)

    def __repr__(self) -> str:
        backbone = self.cfg.model.get("backbone", {}).get("pretrained")
        name = self.cfg.model.get("checkpoint") or backbone or type(self.model).__name__
        given = {option: getattr(self.model, option, None) for option in _SHOWN_OPTIONS}
        parts = [f"{option}={value!r}" for option, value in given.items() if value is not None]
        parts = [repr(str(name)), f"method={self.method!r}", f"device={str(self.device)!r}", *parts]
        return f"{type(self).__name__}({', '.join(parts)})"

    def to(self, device: str | torch.device) -> Self:
        """Move the model to another device.

        Raises:
            ValueError: if there is no such device.
        """
        name = check_device(device)
        self.device = torch.device(name)
        self.model.to(self.device)
        self._settings = {**self._settings, "device": device_kind(name)}
        return self

    def settings(self) -> dict[str, Any]:
        """What results depend on: :func:`trace_mm.models.identity.describe_model` and device."""
        return dict(self._settings)

    def __call__(
        self,
        inputs: Any,
        return_datasamples: bool = False,
        batch_size: int = 1,
        out_dir: str | os.PathLike[str] = "",
        save: Sequence[str] = ("png",),
        return_vis: bool = True,
    ) -> dict[str, Any]:
        """Find the edges of images.

        All results are held in memory; for many images, use the ``trace-mm edges`` command or
        :func:`trace_mm.apis.run_folder`, which also resume.

        Args:
            inputs: a path, folder, pattern, array, tensor, PIL image, or a list of these; arrays
                and tensors are RGB.
                See :func:`trace_mm.apis.expand_inputs` and :func:`trace_mm.apis.load_image`.
            return_datasamples: return ``EdgeDataSample`` instead of dicts.
            batch_size: how many images the model is given at a time; it does not change results.
            out_dir: a folder to write results to as well, as ``edges/NAME.png`` and so on; files
                of the same names are replaced. Empty for none.
            save: what to write: ``"png"``, ``"npz"``, ``"overlay"``.
            return_vis: whether to return overlays.

        Returns:
            ``predictions``: a dict for each image, in the order of the inputs: ``name``, ``edges``
            float32 (H, W) in [0, 1] at the image's own size, ``timestep`` int, and ``scores``, the
            score by timestep (empty without a search). ``visualization``: uint8 (H, W, 3) RGB
            overlays, or an empty list.

        Raises:
            FileNotFoundError: if an input does not exist.
            ValueError: if an image cannot be read or would be written onto, before any is
                processed.
            OSError: if a result cannot be written; before any is processed, as far as it is known.
        """
        if batch_size < 1:
            raise ValueError(f"the batch size must be at least 1, got {batch_size}")
        kinds = check_save_kinds(save)
        out = _check_out_dir(out_dir) if os.fspath(out_dir) else None
        sources = self._inputs_to_list(inputs, exclude=result_folders(out) if out else ())
        if out is not None:
            check_outputs(folders=result_folders(out), read=sources.paths())
        for source in sources:  # decoding is cheap beside the model, and failing late is not
            load_image(source.image, source.label)
        samples: list[EdgeDataSample] = []
        overlays: list[NDArray[np.uint8]] = []
        show = self.show_progress and len(sources) > _FEW
        with progress_bar(len(sources), show=show) as progress:
            for batch in self.preprocess(sources, batch_size):
                done = self.forward(batch)
                images = [_as_pixels(tensor) for tensor in batch["inputs"]]
                if return_vis:
                    overlays += self.visualize(images, done)
                for sample, image in zip(done, images, strict=True):
                    if out is not None:
                        write_results(out, sample.image_id, kinds, sample, image)
                samples += done
                progress.update(len(done))
        return self.postprocess(samples, overlays, return_datasamples)

    def predict_images(self, images: Iterable[NDArray[np.float32]]) -> list[EdgeDataSample]:
        """Predictions of images that are loaded already.

        Args:
            images: float32 (H, W, 3) RGB in [0, 1] each; sizes may differ.
        """
        sources = [ImageSource(f"image_{n:06d}", image) for n, image in enumerate(images)]
        return self.forward(_load_batch(sources))

    def preprocess(
        self, inputs: Sequence[ImageSource], batch_size: int = 1, **kwargs: Any
    ) -> Iterator[dict[str, Any]]:
        """Batches ``dict(inputs=[...], data_samples=[...])``, loaded as they are asked for."""
        for start in range(0, len(inputs), batch_size):
            yield _load_batch(inputs[start : start + batch_size])

    def forward(self, inputs: dict[str, Any], **kwargs: Any) -> list[EdgeDataSample]:
        """Predictions of a batch of :meth:`preprocess`."""
        return predict_samples(self.model, inputs["inputs"], inputs["data_samples"], self.device)

    def visualize(
        self,
        inputs: list[NDArray[np.float32]],
        preds: Sequence[EdgeDataSample],
        show: bool = False,
        **kwargs: Any,
    ) -> list[NDArray[np.uint8]]:
        """Overlays, uint8 (H, W, 3) RGB, of images float32 (H, W, 3) and their predictions."""
        return [
            overlay_of(image, edges_to_8_bit(edges_of(sample)))
            for image, sample in zip(inputs, preds, strict=True)
        ]

    def postprocess(
        self,
        preds: Sequence[EdgeDataSample],
        visualization: list[NDArray[np.uint8]],
        return_datasample: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Pack predictions and overlays as ``__call__`` returns them."""
        predictions = (
            list(preds)
            if return_datasample
            else [_prediction_dict(sample.image_id, sample) for sample in preds]
        )
        return {"predictions": predictions, "visualization": visualization}

    def _inputs_to_list(self, inputs: Any, exclude: Sequence[Path] = ()) -> ImageSources:
        return expand_inputs(inputs, exclude, note if self.show_progress else None)


def _restore(
    kind: type[TraceInferencer], config: dict[str, Any], device: str, show_progress: bool
) -> TraceInferencer:
    """An inferencer that was pickled."""
    return kind(config, device=device, show_progress=show_progress)


def _load_batch(sources: Sequence[ImageSource]) -> dict[str, Any]:
    """Images as the models take them: tensors (3, H, W), and samples with their metainfo."""
    images, samples = [], []
    for source in sources:
        pixels = load_image(source.image, source.label)
        path = None if source.file is None else source.label
        meta = {"image_id": source.name, "img_path": path, "ori_shape": pixels.shape[:2]}
        images.append(torch.from_numpy(pixels).permute(2, 0, 1).contiguous())  # (3, H, W)
        samples.append(EdgeDataSample(metainfo=meta))
    return {"inputs": images, "data_samples": samples}


def _as_pixels(tensor: torch.Tensor) -> NDArray[np.float32]:
    pixels: NDArray[np.float32] = tensor.permute(1, 2, 0).cpu().float().numpy()  # (H, W, 3)
    return pixels


def _check_out_dir(out_dir: str | os.PathLike[str]) -> Path:
    out = Path(out_dir)
    if (out / MANIFEST_FILE).exists():
        raise ValueError(
            f"{out} belongs to a folder run (it has a {MANIFEST_FILE}); choose another"
        )
    return out


def _prediction_dict(name: str, sample: EdgeDataSample) -> dict[str, Any]:
    """What the inferencer returns for an image."""
    return {
        "name": name,
        "edges": edges_of(sample),
        "timestep": sample.get("timestep"),
        "scores": scores_of(sample),
    }
