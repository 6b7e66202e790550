"""The summary page of a run: numbers, failures, and pictures of a few images."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.apis.panoptic_records import (
    PICTURES,
    PanopticRecord,
    class_counts,
    output_path,
)
from trace_mm.files import load_image, write_atomically
from trace_mm.panoptic import PanopticClasses
from trace_mm.visualization import Figure, ReportEntry, render_report
from trace_mm.visualization.refinement import instance_color

SUMMARY = "summary.html"
_LISTED = 20  # failures that are told in full
_LEAD = (
    "Which class a pixel belongs to comes from semantic maps. Where two things of one class meet "
    "is told by {cause}. Such labels hold mistakes: look before you train on them."
)
_CAUSES = {True: "instance edges", False: "nothing: touching things are one segment"}
_STEPS = (
    ("Image", "As the semantic map sees it."),
    ("Semantic map", "One colour a class, as below, white where classes meet."),
    ("Edges", "Instance edges, white; segments of things end there."),
    ("Panoptic", "One colour a segment, white borders; dark is void, which belongs to none."),
)


def write_summary(
    out: Path,
    records: Mapping[str, PanopticRecord],
    classes: PanopticClasses,
    unused_maps: int,
    settings: dict[str, Any],
) -> None:
    """Write ``summary.html``, which holds everything that it shows.

    Args:
        out: the output folder, with the pictures that records name.
        records: of all images, by name.
        classes: names of the categories.
        unused_maps: how many semantic maps have no image.
        settings: of the run.

    Raises:
        ValueError: if a picture cannot be read.
    """
    labelled = [records[name] for name in sorted(records) if records[name].labelled]
    with_edges = settings["edges"] is not None
    steps = [step for step in _STEPS if with_edges or step[0] != "Edges"]
    page = render_report(
        "Pseudo-panoptic labels",
        _LEAD.format(cause=_CAUSES[with_edges]),
        steps,
        _notes(records, labelled, classes, unused_maps),
        _entries(out, labelled, [title for title, _ in steps]),
        _footer(settings),
        _legend(labelled, classes),
    )
    write_atomically(out / SUMMARY, page.encode("utf-8", "replace"))


def _notes(
    records: Mapping[str, PanopticRecord],
    labelled: Sequence[PanopticRecord],
    classes: PanopticClasses,
    unused_maps: int,
) -> list[tuple[str, str]]:
    failed = [record for record in records.values() if record.error is not None]
    untagged = len(records) - len(labelled) - len(failed)
    pixels = sum(record.height * record.width for record in labelled)
    void = sum(record.void for record in labelled)
    whole = sum(record.void == record.height * record.width for record in labelled)
    counts = class_counts(labelled, classes)
    numbers = [counts.get(name, 0) for name in classes.names]
    middle = classes.num_things
    notes = [
        (
            "Images",
            f"{len(labelled)} labelled, {len(failed)} failed, {untagged} without a semantic map; "
            f"{unused_maps} semantic maps without an image. {_percent(void, pixels)} of all pixels "
            f"are void, that is, in no segment; {whole} images are void as a whole.",
        ),
        ("Segments of things", _counts(classes.thing_classes, numbers[:middle], len(labelled))),
        ("Segments of stuff", _counts(classes.stuff_classes, numbers[middle:], len(labelled))),
    ]
    noted = [f"{record.name}: {note}" for record in labelled for note in record.notes]
    errors = [f"{record.name}: {record.error}" for record in failed]
    return notes + [
        (title, _listed(texts))
        for title, texts in (("Failures", sorted(errors)), ("To be known", noted))
        if texts
    ]


def _legend(
    labelled: Sequence[PanopticRecord], classes: PanopticClasses
) -> list[tuple[tuple[int, int, int], str]]:
    """Colour in semantic maps, name, kind, and number of segments of the classes that occur."""
    counts = class_counts(labelled, classes)
    entries = []
    for index, name in enumerate(classes.names):
        if name in counts:
            kind = "things" if index < classes.num_things else "stuff"
            red, green, blue = (round(255 * part) for part in instance_color(index))
            entries.append(((red, green, blue), f"{name}: {counts[name]} ({kind})"))
    return entries


def _counts(names: Sequence[str], counts: Sequence[int], images: int) -> str:
    """Classes by falling number of segments."""
    found = sorted(zip(counts, names, strict=True), key=lambda pair: -pair[0])
    shown = ", ".join(f"{name} {count}" for count, name in found if count)
    missing = sum(count == 0 for count in counts)
    average = f"{sum(counts) / images:.1f} an image" if images else "no image"
    rest = f"; none of {missing} classes" if missing and shown else ""
    return f"{sum(counts)}, {average}: {shown}{rest}." if shown else "None."


def _listed(texts: Sequence[str]) -> str:
    more = len(texts) - _LISTED
    rest = f"; and {more} more, in manifest.jsonl" if more > 0 else ""
    return "; ".join(texts[:_LISTED]) + rest


def _entries(
    out: Path, records: Iterable[PanopticRecord], captions: Sequence[str]
) -> list[ReportEntry]:
    """The images of which there are pictures: panels of one width, side by side."""
    entries = []
    for record in records:
        path = output_path(PICTURES, record.name)
        if path not in record.outputs:
            continue
        picture = np.rint(load_image(out / path) * 255).astype(np.uint8)  # (h, panels * w, 3)
        panels = np.split(picture, len(captions), axis=1)
        figures = [
            _figure(panel, caption, record.name)
            for panel, caption in zip(panels, captions, strict=True)
        ]
        things = sum("segmentation" in entry for entry in record.annotations)
        facts = [
            f"{record.width} × {record.height} pixels",
            f"{things} things, {len(record.annotations) - things} stuff",
            f"{_percent(record.void, record.height * record.width)} void",
        ]
        entries.append(ReportEntry(record.name, facts, figures))
    return entries


def _figure(panel: NDArray[np.uint8], caption: str, name: str) -> Figure:
    if caption == "Edges":
        return Figure(panel[:, :, 0], caption, f"Edges of {name}, white on black")  # grey
    return Figure(panel, caption, f"{caption}, {name}", photo=True)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole if whole else 0:.1f} %"


def _footer(settings: dict[str, Any]) -> str:
    parts = [f"trace_mm {settings['version']}", f"classes: {settings['classes']}"]
    parts += [
        f"{key}: " + ", ".join(f"{name} {value}" for name, value in settings[key].items())
        for key in ("edges", "labeler")
        if settings[key] is not None
    ]
    return "; ".join(parts)
