"""COCO-Object: COCO's instances as semantic maps of 80 classes and background."""

from pathlib import Path, PurePosixPath

import numpy as np

from trace_mm.datasets.semantic_protocols import semantic_protocol
from trace_mm.files import annotated_size, check_outputs, write_atomically
from trace_mm.files.coco_file import CocoFile
from trace_mm.files.file_names import name_parts
from trace_mm.files.palette import semantic_png
from trace_mm.runs.progress import watched


def convert_coco_object(path: str | Path, folder: str | Path, progress: bool = True) -> int:
    """Write the semantic map of each image of a COCO instance file: 0 is background.

    Where instances overlap, the first of the file is in front, as the benchmark has it. Crowds are
    pixels of their class like any others.

    Args:
        path: the instance file, with polygons or RLE; its categories have COCO's names.
        folder: where ``<stem of the image>.png`` go; made if needed.
        progress: show a progress bar.

    Returns:
        How many maps were written.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not as it should be, has other categories, or two images have one stem;
            names the file.
    """
    check_outputs(folders=[folder], read=[path])
    file = CocoFile.read(path).require("images").require_annotations()
    listed = file.images()
    located = file.by_image(listed)
    classes = semantic_protocol("coco-object").classes
    names = file.category_names()
    unknown = [name for name in names.values() if name not in classes]
    if unknown:
        raise ValueError(f"{file.name}: category {unknown[0]!r} is none of COCO's 80")
    numbers = {key: classes.index(name) for key, name in names.items()}
    pngs: set[str] = set()
    for key, image in watched(listed.items(), show=progress, label="maps"):
        png = f"{PurePosixPath(*name_parts(image.name)).stem}.png"
        if png in pngs:
            raise image.bad(f"two images would have the map {png}")
        pngs.add(png)
        size = annotated_size([one.content for one in located[key]], image.size)
        found = np.zeros(size, dtype=np.uint8)  # (H, W)
        for annotation in located[key]:
            category = annotation.category()
            if category not in numbers:
                raise annotation.bad(f"category_id: category {category} is not listed")
            found[annotation.mask(size) & (found == 0)] = numbers[category]
        write_atomically(Path(folder) / png, semantic_png(found))
    return len(pngs)
