"""From a folder of images to a COCO JSON file, by any executor; resumable."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trace_mm.apis.inputs import expand_inputs
from trace_mm.files import absolute_path
from trace_mm.generators.methods import make_generator
from trace_mm.jobs.masks import MaskJob
from trace_mm.jobs.places import parts_folder
from trace_mm.models.devices import check_device
from trace_mm.refinement import ImageIndex
from trace_mm.runs.engine import JOURNAL, check_places, run
from trace_mm.runs.executors import Executor, chosen
from trace_mm.runs.group import note_once
from trace_mm.runs.job import Places
from trace_mm.runs.summary import RunSummary

Images = list[tuple[str, Path]]
_EARLIER = "rank-*/records.jsonl"  # what versions before the journal have written


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
    elsewhere: bool = False,
    overwrite: bool = False,
    show_progress: bool = True,
    executor: Executor | None = None,
) -> RunSummary:
    """Write the masks of images to ``out``; go on where an earlier run stopped.

    What is done so far is kept beside it, in the folder ``<out>.parts``, which may be removed once
    the run is over. The file depends on the images and settings only, and not on interruptions,
    workers or processes of a launcher.

    Args:
        method: a name in ``METHODS``.
        images: a folder, a file or a pattern.
        out: the COCO JSON file.
        backbone: see ``FeatureSource``, also for the next two.
        checkpoint: local weights.
        size: side of the square whose area images are brought to.
        settings: of the method, where they differ from its defaults.
        features: settings of the features, likewise.
        ids: a COCO JSON file whose image ids are used, by file name. By default images count from
            1 in the order of their names.
        workers: processes that compute features and cut, each with its own backbone; 0 means this
            one.
        batch_size: images that go through the backbone together. More than 1 is faster on GPUs,
            and may change single patches by rounding.
        device: of the backbone; by default ``cuda`` if there is one.
        elsewhere: whether it is of other machines, so that this one need not have it.
        overwrite: forget what an earlier run has done.
        show_progress: draw a progress bar on stderr.
        executor: where images are processed, if not in ``workers``.

    Returns:
        What was done, skipped and failed, by the images' names.

    Raises:
        FileNotFoundError: if an input does not exist.
        ValueError: if a setting is wrong, something would be written onto or among what is read, an
            earlier run had other settings, or another run is writing the same file.
    """
    executor = chosen(executor, workers)
    found = list_images(images)
    places = Places(
        top=parts_folder(out),
        files=[out],
        others=[parts_folder(out)],
        read=[ids, checkpoint, *(path for _, path in found)],
        searched=[Path(images)] if Path(images).expanduser().is_dir() else [],
    )
    check_places(places)
    numbers = image_ids(found, ids)
    generator = make_generator(
        method,
        backbone,
        settings=settings,
        features=features,
        size=size,
        checkpoint=checkpoint,
        device=check_device(device, elsewhere),
    )
    job = MaskJob(found, numbers, generator, out, places)
    if not overwrite:
        _refuse_earlier(places.top)
    result = run(
        job,
        executor,
        batch_size=batch_size,
        overwrite=overwrite,
        show_progress=show_progress,
    )
    return RunSummary(result.done, result.skipped, result.failed)


def list_images(images: str) -> Images:
    """Name and path of each image that is meant, by name: the path within the folder.

    Raises:
        FileNotFoundError: if a path does not exist.
        ValueError: if there is no image, or they lie in a store.
    """
    sources = expand_inputs(images, tell=note_once)
    for source in sources:
        if not isinstance(source.image, Path):
            raise ValueError(f"{source.label}: masks are made of this machine's images only")
    paths = sorted({absolute_path(Path(source.label)) for source in sources})
    folder = Path(images).expanduser()
    root = (
        absolute_path(folder)
        if folder.is_dir()
        else Path(os.path.commonpath([p.parent for p in paths]))
    )
    return sorted((path.relative_to(root).as_posix(), path) for path in paths)


def image_ids(images: Images, file: Path | None) -> Sequence[int]:
    """The id of each image: from 1 up, or as a COCO JSON file has them.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it lacks an image; names it.
    """
    if file is None:
        return range(1, len(images) + 1)
    known = ImageIndex([path for _, path in images], file).ids()
    missing = [name for name, path in images if path not in known]
    if missing:
        raise ValueError(f"{file}: has no image {missing[0]} ({len(missing)} are missing)")
    return [known[path] for _, path in images]


def _refuse_earlier(parts: Path) -> None:
    earlier = next(parts.glob(_EARLIER), None)
    if earlier is not None and not (parts / JOURNAL).exists():
        raise ValueError(
            f"{earlier} was written by an earlier version, whose work this one cannot go on with: "
            f"remove {parts}, or --overwrite to start anew"
        )
