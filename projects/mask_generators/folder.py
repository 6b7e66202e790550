"""From a folder of images to a COCO JSON file, on one or several ranks; resumable."""

import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from projects.mask_generators.backbones import feature_settings, is_diffusion, load_features
from projects.mask_generators.methods import method_settings
from projects.mask_generators.run import process
from trace_mm.apis.inputs import expand_inputs
from trace_mm.apis.instance_records import (
    Record,
    RecordFile,
    coco_content,
    file_state,
    json_bytes,
    read_records,
)
from trace_mm.apis.ranks import barrier, default_device, ranks
from trace_mm.console import note
from trace_mm.files import (
    absolute_path,
    check_outputs,
    locked,
    remove_temporary_files,
    write_atomically,
)
from trace_mm.models.devices import check_device
from trace_mm.refine import ImageIndex

Images = list[tuple[str, Path]]
RECORDS = "rank-*/records.jsonl"


def generate_masks(
    method: str,
    images: str,
    out: Path,
    *,
    backbone: str,
    checkpoint: Path | None = None,
    size: int | None = None,
    settings: dict[str, Any] | None = None,
    features: dict[str, Any] | None = None,
    ids: Path | None = None,
    workers: int = 0,
    batch_size: int = 1,
    device: str | None = None,
    overwrite: bool = False,
) -> list[Record]:
    """Write the masks of images to ``out``; go on where an earlier run stopped.

    What is done so far is kept beside it, in the folder ``<out>.parts``, one subfolder a rank. It
    may be removed once the run is over. The file depends on the images and settings only, and not
    on interruptions, workers or ranks.

    Args:
        method: a name in ``METHODS``.
        images: a folder, a file or a pattern.
        out: the COCO JSON file.
        backbone: see ``load_features``, also for the next two.
        checkpoint: local weights.
        size: side of the square whose area images are brought to.
        settings: of the method, where they differ from its defaults.
        features: settings of the features, likewise.
        ids: a COCO JSON file whose image ids are used, by file name. By default images count from
            1 in the order of their names.
        workers: processes that cut; 0 means this one.
        batch_size: images that go through the backbone together. More than 1 is faster on GPUs,
            and may change single patches by rounding.
        device: of the backbone; by default ``cuda`` if there is one.
        overwrite: forget what an earlier run has done.

    Returns:
        The images that failed, the same on all ranks.

    Raises:
        FileNotFoundError: if an input does not exist.
        ValueError: if a setting is wrong, something would be written onto or among what is read, an
            earlier run had other settings, or another run is writing the same file.
    """
    found = list_images(images)
    parts = out.with_name(out.name + ".parts")
    check_outputs(
        files=[out],
        folders=[parts],
        read=[ids, checkpoint, *(path for _, path in found)],
        searched=[images] if Path(images).expanduser().is_dir() else [],
    )
    numbers = image_ids(found, ids)
    with ranks() as (rank, world):
        options = _checked(method_settings, method, is_diffusion(backbone), settings or {})
        model = load_features(
            backbone,
            _checked(feature_settings, backbone, features or {}),
            size=size,
            checkpoint=checkpoint,
            device=str(check_device(device or default_device())),
        )
        identity = {"method": method, **asdict(options), "features": model.identity}
        if overwrite and rank == 0 and parts.is_dir():
            shutil.rmtree(parts)
        barrier()
        own = parts / f"rank-{rank}"
        own.mkdir(parents=True, exist_ok=True)
        with locked(own):
            remove_temporary_files([out] if rank == 0 else [], [own])
            states = {name: file_state(path) for name, path in found}
            known = read_records(parts.glob(RECORDS), identity, states)
            done = {name for name, record in known.items() if record.error is None}
            share = [(name, path) for name, path in found[rank::world] if name not in done]
            with RecordFile(own / "records.jsonl", identity) as records:
                process(
                    share,
                    model,
                    method,
                    options,
                    records,
                    workers=workers,
                    batch_size=batch_size,
                    show_progress=rank == 0,
                )
            barrier()
            known = read_records(parts.glob(RECORDS), identity, states)
            changed = [name for name, _ in found if name not in known]
            if changed:
                raise ValueError(f"{changed[0]}: changed during the run; run again")
            results = {name: known[name] for name, _ in found}
            if rank == 0:
                content = coco_content(results, numbers, {"description": "trace_mm", **identity})
                write_atomically(out, json_bytes(content))
            barrier()
    return [record for record in results.values() if record.error is not None]


def list_images(images: str) -> Images:
    """Name and path of each image that is meant, by name: the path within the folder.

    Raises:
        FileNotFoundError: if a path does not exist.
        ValueError: if there is no image.
    """
    sources = expand_inputs(images, tell=note)
    paths = sorted({absolute_path(Path(source.label)) for source in sources})
    folder = Path(images).expanduser()
    root = (
        absolute_path(folder)
        if folder.is_dir()
        else Path(os.path.commonpath([p.parent for p in paths]))
    )
    return sorted((path.relative_to(root).as_posix(), path) for path in paths)


def image_ids(images: Images, file: Path | None) -> dict[str, int]:
    """The id of each image, by name: from 1 up, or as a COCO JSON file has them.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it lacks an image; names it.
    """
    if file is None:
        return {name: number for number, (name, _) in enumerate(images, start=1)}
    known = ImageIndex([path for _, path in images], file).ids()
    missing = [name for name, path in images if path not in known]
    if missing:
        raise ValueError(f"{file}: has no image {missing[0]} ({len(missing)} are missing)")
    return {name: known[path] for name, path in images}


def _checked(make: Any, *arguments: Any) -> Any:
    try:
        return make(*arguments)
    except TypeError as error:  # an unknown setting
        raise ValueError(f"{arguments[0]}: {error}") from error
