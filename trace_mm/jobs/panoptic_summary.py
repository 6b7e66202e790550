"""The summary page of a run: numbers, failures, and pictures of a few images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm import __version__
from trace_mm.files import load_image, write_atomically
from trace_mm.jobs.panoptic_tally import Tally, annotations_of, void_of
from trace_mm.jobs.places import output_path
from trace_mm.panoptic import PanopticClasses
from trace_mm.visualization import Figure, ReportEntry, render_report
from trace_mm.visualization.refinement import instance_color

SUMMARY = "summary.html"
_LISTED = 20  # notes that are told in full
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
    tally: Tally,
    classes: PanopticClasses,
    unused_maps: int,
    settings: dict[str, Any],
) -> None:
    """Write ``summary.html``, which holds everything that it shows.

    Args:
        out: the output folder, with the pictures of the tally's ``shown``.
        tally: what the labels are.
        classes: names of the categories.
        unused_maps: how many semantic maps have no image.
        settings: of the run.

    Raises:
        ValueError: if a picture cannot be read.
    """
    with_edges = settings["edges"] is not None
    steps = [step for step in _STEPS if with_edges or step[0] != "Edges"]
    page = render_report(
        "Pseudo-panoptic labels",
        _LEAD.format(cause=_CAUSES[with_edges]),
        steps,
        _notes(tally, classes, unused_maps),
        _entries(out, tally, [title for title, _ in steps]),
        _footer(settings),
        _legend(tally, classes),
    )
    write_atomically(out / SUMMARY, page.encode("utf-8", "replace"))


def _notes(tally: Tally, classes: PanopticClasses, unused_maps: int) -> list[tuple[str, str]]:
    untagged = tally.images - tally.labelled - tally.failed
    counts = tally.of_classes(classes)
    numbers = [counts.get(name, 0) for name in classes.names]
    middle = classes.num_things
    notes = [
        (
            "Images",
            f"{tally.labelled} labelled, {tally.failed} failed, {untagged} without a semantic map; "
            f"{unused_maps} semantic maps without an image. {_percent(tally.void, tally.pixels)} "
            f"of all pixels are void, that is, in no segment; {tally.empty} images are void as a "
            f"whole.",
        ),
        ("Segments of things", _counts(classes.thing_classes, numbers[:middle], tally.labelled)),
        ("Segments of stuff", _counts(classes.stuff_classes, numbers[middle:], tally.labelled)),
    ]
    noted = [f"{name}: {note}" for name, texts in tally.notes.items() for note in texts]
    return notes + [
        (title, _listed(texts, count))
        for title, texts, count in (
            ("Failures", tally.failures, tally.failed),
            ("To be known", noted[:_LISTED], len(noted)),
        )
        if texts
    ]


def _legend(tally: Tally, classes: PanopticClasses) -> list[tuple[tuple[int, int, int], str]]:
    """Colour in semantic maps, name, kind, and number of segments of the classes that occur."""
    counts = tally.of_classes(classes)
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


def _listed(texts: Sequence[str], count: int) -> str:
    more = count - len(texts)
    rest = f"; and {more} more, in manifest.jsonl" if more > 0 else ""
    return "; ".join(texts) + rest


def _entries(out: Path, tally: Tally, captions: Sequence[str]) -> list[ReportEntry]:
    """The images of which there are pictures: panels of one width, side by side."""
    entries = []
    for record in tally.shown:
        path = out / output_path("pictures", record.key)
        picture = np.rint(load_image(path) * 255).astype(np.uint8)  # (h, panels * w, 3)
        panels = np.split(picture, len(captions), axis=1)
        figures = [
            _figure(panel, caption, record.key)
            for panel, caption in zip(panels, captions, strict=True)
        ]
        height, width = record.result["height"], record.result["width"]
        segments = len(annotations_of(record))
        things = sum("segmentation" in entry for entry in annotations_of(record))
        facts = [
            f"{width} × {height} pixels",
            f"{things} things, {segments - things} stuff",
            f"{_percent(void_of(record), height * width)} void",
        ]
        entries.append(ReportEntry(record.key, facts, figures))
    return entries


def _figure(panel: NDArray[np.uint8], caption: str, name: str) -> Figure:
    if caption == "Edges":
        return Figure(panel[:, :, 0], caption, f"Edges of {name}, white on black")  # grey
    return Figure(panel, caption, f"{caption}, {name}", photo=True)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole if whole else 0:.1f} %"


def _footer(settings: dict[str, Any]) -> str:
    parts = [f"trace_mm {__version__}", f"classes: {settings['classes']}"]
    parts += [
        f"{key}: " + ", ".join(f"{name} {value}" for name, value in settings[key].items())
        for key in ("edges", "labeler")
        if settings[key] is not None
    ]
    return "; ".join(parts)
