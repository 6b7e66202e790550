"""From a config file and a command line to a config that MMEngine's runner takes."""

import importlib
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config

from trace_mm.console import is_quiet
from trace_mm.engine.config_options import ConfigOptionError, read_with_options
from trace_mm.files.shipped_configs import find_config
from trace_mm.models.model_config import method_of, usual_dtype
from trace_mm.signatures import read_signature


def read_config(
    path: str | os.PathLike[str], options: dict[str, Any], own: Collection[str] = ()
) -> Config:
    """A config file with settings of the command line.

    Args:
        path: the file, or the name of a config of this package; see
            :func:`trace_mm.files.shipped_configs.find_config`.
        options: values by dotted name, as of ``--cfg-options``. A name that the file or its bases
            define, such as ``data_root`` or ``max_iters``, is set wherever they use it.
        own: names that the caller reads in the config, beside what runs read.

    Raises:
        FileNotFoundError: if there is no such config.
        ImportError: if the config is of a model of mmdet's, and mmdet or mmcv's operations are
            missing.
        ValueError: if the file cannot be read, or a setting would have no effect.
    """
    path = find_config(path)
    try:
        config = read_with_options(os.fspath(path), options, own)
    except ConfigOptionError:
        raise
    except Exception as error:  # a config is code, so it can raise anything
        if isinstance(error, ImportError) and _is_about_mmdet(error):
            importlib.import_module("trace_mm.mask2former")  # its error says what to install
        raise ValueError(f"{path}: cannot read this config: {error}") from error
    if is_quiet():
        config.log_level = "WARNING"
    return config


@contextmanager
def config_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Within this context, a config's unknown types and arguments are errors that name its file.

    Raises:
        ValueError: instead of MMEngine's ``KeyError`` and ``TypeError``.
    """
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        text = error.args[0] if error.args else error
        raise ValueError(f"{path}: cannot build what this config says: {text}") from error


def set_work_dir(cfg: Config, work_dir: str | None) -> None:
    """Where logs and checkpoints go: the argument, the config's, or ``work_dirs/<config name>``."""
    default = f"work_dirs/{Path(str(cfg.filename)).stem}"
    cfg.work_dir = work_dir or cfg.get("work_dir") or default


def set_launcher(cfg: Config, launcher: str, local_rank: int = 0) -> None:
    """Prepare a run in one or several processes, on GPUs or on the CPU.

    MMEngine can launch on accelerators only. Without one, the process group is started here, with
    the gloo backend, and the model wrapper is kept from asking for a GPU.

    Args:
        cfg: changed in place.
        launcher: "none", "pytorch", "slurm" or "mpi".
        local_rank: number of the process on this machine, for launchers that do not tell it in the
            environment.

    Raises:
        ValueError: if there is no GPU, and the launcher is not torchrun's.
    """
    import torch
    from torch import distributed

    cfg.launcher = launcher
    os.environ.setdefault("LOCAL_RANK", str(local_rank))
    if launcher == "none" or torch.cuda.is_available():
        return
    if launcher != "pytorch":
        raise ValueError(f"launcher {launcher} needs GPUs; on CPUs, use pytorch (torchrun)")
    if not distributed.is_initialized():
        distributed.init_process_group("gloo")
    if cfg.get("model_wrapper_cfg", {}).get("type") == "trace_mm.PredictingModel":
        return
    wrapper = {"type": "MMDistributedDataParallel", "broadcast_buffers": False}
    wrapper["find_unused_parameters"] = cfg.get("find_unused_parameters", False)
    cfg.model_wrapper_cfg = {**wrapper, **cfg.get("model_wrapper_cfg", {}), "device_ids": None}


def set_predicting_model(cfg: Config) -> None:
    """Let a model of ours predict in several processes even if it has nothing to learn.

    A wrapper that the config names stays, and so do strategies and models of mmdet's.

    Args:
        cfg: changed in place, before :func:`set_launcher`.
    """
    of_ours = cfg.get("default_scope", "trace_mm") == "trace_mm"
    if of_ours and "strategy" not in cfg and "model_wrapper_cfg" not in cfg:
        cfg.model_wrapper_cfg = {"type": "trace_mm.PredictingModel"}


def set_resume(cfg: Config, checkpoint: str) -> Path | None:
    """Go on from a checkpoint.

    Args:
        cfg: changed in place; its ``work_dir`` must be set.
        checkpoint: a file, or "auto" for the latest in the work folder.

    Returns:
        The checkpoint; None if there is none yet, so that the run starts anew.

    Raises:
        FileNotFoundError: if the file does not exist.
    """
    from trace_mm.engine.whole_checkpoint_hook import latest_checkpoint  # imports all that trains

    path = latest_checkpoint(cfg.work_dir) if checkpoint == "auto" else Path(checkpoint)
    if path is not None and not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    cfg.resume = path is not None
    if path is not None:  # else it starts with what the config starts with
        cfg.load_from = str(path)
    return path


def set_trained_dtype(cfg: Config, checkpoint: str) -> None:
    """Let a student compute in what its checkpoint was trained in, if the config names no dtype.

    Args:
        cfg: changed in place.
        checkpoint: file of the model.

    Raises:
        ValueError: if the config is a student's, and the checkpoint is not, or damaged.
    """
    if method_of(cfg.model) != "student" or "dtype" in cfg.model.backbone:
        return
    from mmengine.device import get_device

    dtype = usual_dtype({**cfg.model, "checkpoint": checkpoint}, get_device())
    if dtype is not None:
        cfg.model.backbone.dtype = dtype


def set_trained_student(cfg: Config, checkpoint: str | None) -> bool:
    """Let a config that trains a student predict with a trained one, LoRA merged: without peft.

    What the config does not say, such as the size that images are shown at, is as in the training.

    Args:
        cfg: changed in place.
        checkpoint: file of the student; None for the one that the config starts from, if any.

    Returns:
        Whether that is so. It is not if the model is no student, if there is no checkpoint, or if a
        strategy for large models spreads it over devices, which needs it as it was trained.
    """
    if cfg.model.get("type") == "TrainedStudent":
        cfg.model.student = checkpoint or cfg.model.student
        return True
    checkpoint = checkpoint or cfg.get("load_from") or cfg.model.get("checkpoint")
    if method_of(cfg.model) != "student" or checkpoint is None or "strategy" in cfg:
        return False
    home = "trace_mm.models.trained_student"
    known = read_signature(home, "build_trained_student").parameters
    options = {name: value for name, value in cfg.model.items() if name in known}
    cfg.model = {"type": "TrainedStudent", "student": checkpoint, **options}
    cfg.load_from = None
    return True


def set_edges(cfg: Config, edges: dict[str, Any]) -> None:
    """Take edges from elsewhere: the model's, or those of a mask refiner's edge model.

    Args:
        cfg: changed in place.
        edges: config of an edge model. If it is an ``EdgesFrom``, as the config's is, the config's
            other settings of it stay.

    Raises:
        ValueError: if the config's model has nothing to do with edges, or does not read them.
    """
    if cfg.get("default_scope", "trace_mm") != "trace_mm":
        raise ValueError(
            f"{cfg.filename}: edges are for edge models, masks and labels, not {cfg.model.type}"
        )
    inside = cfg.model is not None and "edges" in cfg.model
    if inside and cfg.model.get("refiner", {}) is None and cfg.model.get("scores") != "outline":
        raise ValueError(
            f"{cfg.filename}: edges would have no effect: model.refiner=None leaves masks as they "
            "are, and only model.scores=outline ranks them by edges"
        )
    before = (cfg.model.edges if inside else cfg.model) or {}
    if before.get("type") == edges["type"] == "EdgesFrom":
        edges = {**before, **edges}
    cfg.model = {**cfg.model, "edges": edges} if inside else edges


def set_mixed_precision(cfg: Config) -> None:
    """Train in bfloat16 where that is safe, as ``AutocastOptimWrapper`` does it.

    Raises:
        ValueError: if the config has a wrapper of another kind, so that it is unclear what to do.
    """
    kind = cfg.optim_wrapper.get("type", "OptimWrapper")
    name = kind.rpartition(".")[2] if isinstance(kind, str) else kind.__name__
    if name in {"AutocastOptimWrapper", "AmpOptimWrapper"}:
        return
    if name != "OptimWrapper":
        raise ValueError(f"--amp replaces OptimWrapper, but the config has {name}")
    cfg.optim_wrapper.type = "trace_mm.AutocastOptimWrapper"


def set_auto_scale_lr(cfg: Config) -> None:
    """Scale the learning rate with the batch size.

    Raises:
        ValueError: if the config does not say for which batch size its learning rate is.
    """
    if "base_batch_size" not in cfg.get("auto_scale_lr", {}):
        raise ValueError(
            "--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the config: the "
            "batch size of all processes together that its learning rate is for"
        )
    cfg.auto_scale_lr.enable = True


def _is_about_mmdet(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, names mmdet, mmcv, or what of ours needs them.

    mmengine raises errors of its own, in which the first is hidden.
    """
    while error is not None:
        if re.search(r"\bmm(det|cv)\b|\btrace_mm\.(mask2former|detectors)\b", str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False
