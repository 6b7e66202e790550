"""What the page computes: by models that are loaded once, one photo at a time."""

from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from trace_mm.apis.backbones import list_backbones
from trace_mm.apis.inferencer import TraceInferencer
from trace_mm.app.attention import PhotoAttention, read_attention
from trace_mm.app.found import Found, PackedMasks
from trace_mm.catalogue import CATALOGUE
from trace_mm.diffusion import shipped_models, shipped_students
from trace_mm.jobs.edge_files import scores_of
from trace_mm.jobs.edge_sources import NamedImage
from trace_mm.jobs.photo_masks import best_masks
from trace_mm.models.model_config import DEFAULT_BACKBONE, DEFAULT_STUDENT
from trace_mm.refinement import BoundaryGuidedPropagation, InstanceMasks
from trace_mm.runs.threads import one_thread
from trace_mm.segments import EdgeSegments
from trace_mm.structures import edges_of

TEACHER = "teacher, without training"
"""The model that reads edges out of a backbone itself."""

MOST = 100
"""Masks of a photo."""

_KEPT = 2  # models of each kind, and photos of which attention is kept: hundreds of MB each


@dataclass(frozen=True)
class Reading:
    """How a photo is read; another reading needs another pass.

    Attributes:
        model: a student, or ``TEACHER``.
        backbone: that the teacher is of; a student has its own.
        size: the model sees the photo at the area of so many pixels a side; 0 is the model's own.
        timestep: at which edges are read; 0 is the model's own, or the teacher's search.
    """

    model: str = DEFAULT_STUDENT
    backbone: str = DEFAULT_BACKBONE
    size: int = 0
    timestep: int = 0


class AppModels:
    """The models of a page.

    Args:
        model: a student that may be chosen besides the shipped ones, and is by default.
        device: such as ``"cuda:1"``; None is a GPU if there is one.

    Raises:
        FileNotFoundError: if there is no such model.
        ValueError: if it is none that can be chosen.
    """

    def __init__(self, model: str | None = None, device: str | None = None) -> None:
        self.device = device
        students = [DEFAULT_STUDENT, *shipped_students()]
        self.students = list(dict.fromkeys([*([model] if model else []), *students]))
        self.backbones = diffusion_backbones()
        self._lock = RLock()  # a model computes for one at a time
        self._attention: OrderedDict[tuple[str, bytes], PhotoAttention] = OrderedDict()
        self._student = lru_cache(_KEPT)(self._load_student)
        self._teacher = lru_cache(_KEPT)(self._load_teacher)
        if model is not None:
            self._student(model)  # before a page is opened

    def read(self, photo: NamedImage, reading: Reading) -> Found:
        """The edges of a photo, and the masks that they enclose.

        Raises:
            ValueError: if there is no such choice.
            FileNotFoundError: if a model is gone.
        """
        with self._lock:
            sample = self._model(reading).predict_images([photo.pixels])[0]
        edges, pixels = edges_of(sample), _bytes(photo)
        search = EdgeSegments(number=MOST).find
        timestep = sample.get("timestep")
        return Found(photo.name, pixels, edges, search, timestep, scores_of(sample))

    def refine(self, photo: NamedImage, found: Found, masks: InstanceMasks) -> Found:
        """The same photo and edges with other masks, refined by these edges."""
        bits, labels, scores = np.packbits(masks.masks, axis=2), masks.labels, masks.scores
        refiner = BoundaryGuidedPropagation(preset="photos")

        def search(edges: NDArray[np.float32]) -> PackedMasks:
            source = np.unpackbits(bits, axis=2, count=edges.shape[1]).astype(bool)
            with one_thread():
                refined = refiner(InstanceMasks(source, labels, scores), edges).instances
            return PackedMasks(best_masks(refined, MOST, 0.0), found.shown)

        pixels = _bytes(photo)
        return Found(found.name, pixels, found.edges, search, found.timestep, found.curve)

    def attention(self, photo: NamedImage, backbone: str) -> PhotoAttention:
        """The attention of a photo; kept for the photos that were asked for last.

        Raises:
            ValueError: if there is no such choice.
        """
        key = (backbone, blake2b(photo.pixels.tobytes()).digest())
        with self._lock:
            found = self._attention.get(key)
            if found is None:
                teacher = self._teacher(self._checked(backbone, self.backbones)).at(0, 0)
                found = self._attention[key] = read_attention(teacher.model, photo.pixels)
            self._attention.move_to_end(key)
            while len(self._attention) > _KEPT:
                self._attention.popitem(last=False)
        return found

    def _model(self, reading: Reading) -> TraceInferencer:
        """The model of a reading, set to its size and timestep."""
        if reading.model == TEACHER:
            loaded = self._teacher(self._checked(reading.backbone, self.backbones))
        else:
            loaded = self._student(self._checked(reading.model, self.students))
        return loaded.at(reading.size, reading.timestep)

    def _load_student(self, name: str) -> "_Loaded":
        return _Loaded(TraceInferencer(name, "student", self.device, show_progress=False))

    def _load_teacher(self, name: str) -> "_Loaded":
        return _Loaded(TraceInferencer(None, "teacher", self.device, None, False, name))

    @staticmethod
    def _checked(name: str, choices: list[str]) -> str:
        """A name, if a page offers it: a browser may send any."""
        if name not in choices:
            raise ValueError(f"{name!r} is none of {', '.join(choices)}")
        return name


class _Loaded:
    """A loaded model that is asked at several sizes and timesteps, with one copy of its weights.

    Args:
        inferencer: the model.
    """

    def __init__(self, inferencer: TraceInferencer) -> None:
        self._inferencer = inferencer
        self._own = inferencer.model.size, inferencer.model.timestep

    def at(self, size: int, timestep: int) -> TraceInferencer:
        """The model at a size and timestep; 0 is its own."""
        model, (own_size, own_timestep) = self._inferencer.model, self._own
        if timestep:
            model.backbone.check_timestep(timestep)
        model.size, model.timestep = size or own_size, timestep or own_timestep
        return self._inferencer


def _bytes(photo: NamedImage) -> NDArray[np.uint8]:
    return np.rint(photo.pixels * 255).astype(np.uint8)


def diffusion_backbones() -> list[str]:
    """Diffusion models that are on this machine; the shipped one first."""
    here = [
        state.name
        for state in list_backbones()
        if state.name in CATALOGUE
        and CATALOGUE[state.name].is_diffusion
        and state.here.startswith("weights,")
    ]
    return list(dict.fromkeys([DEFAULT_BACKBONE, *shipped_models(), *here]))
