"""What an object is, in a line that can be read."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trace_mm.apis import FolderRunSummary, ImageSource, PanopticSummary
from trace_mm.jobs.refinement_summary import RefinementSummary
from trace_mm.short_repr import ShortRepr


@dataclass(frozen=True, repr=False)
class Anything(ShortRepr):
    value: Any
    others: dict[str, Any] = field(default_factory=dict)


def test_few_items_are_shown_whole():
    assert repr(Anything([1, "a"], {"b": None})) == "Anything(value=[1, 'a'], others={'b': None})"
    assert repr(Anything((), {})) == "Anything(value=[], others={})"


def test_of_many_their_number_and_the_first():
    text = repr(Anything(list(range(10**6)), {str(n): [n] * 9 for n in range(50)}))
    assert text == (
        "Anything(value=[1000000: 0, 1, 2, ...], others={50: '0': [9: 0, 0, 0, ...], "
        "'1': [9: 1, 1, 1, ...], '2': [9: 2, 2, 2, ...], ...})"
    )
    assert len(repr(Anything("x" * 10**6))) < 200


def test_of_arrays_type_and_shape():
    pixels = np.zeros((4, 5, 3), dtype=np.float32)
    assert repr(ImageSource("a", pixels)) == "ImageSource(name='a', image=<float32 (4, 5, 3)>)"


def test_summaries_are_a_line():
    names = [f"photos/{number}.jpg" for number in range(1000)]
    for summary in (
        FolderRunSummary(names, names, dict.fromkeys(names, "not an image")),
        RefinementSummary(failed=dict.fromkeys(names, "not an image")),
        PanopticSummary(1, 2, untagged=names),
    ):
        text = repr(summary)
        assert text.startswith(f"{type(summary).__name__}(") and "1000: " in text
        assert len(text) < 500
