"""What a run of refinement says of itself at its end."""

from trace_mm.jobs.refinement_summary import RefinementSummary, Tally, mostly_left_out
from trace_mm.runs.records import Record


def test_more_left_out_than_written_is_told(capsys):
    notes = {"a.png": ["masks.json: annotations[2]: RLE is damaged"], "record 3": ["no such image"]}
    (told,) = mostly_left_out(notes, masks=1)
    assert "2 bad masks or records" in told and "annotations[2]: RLE is damaged" in told
    summary = RefinementSummary(images=1, masks=1, notes=notes, remarks=["old", told], told=["old"])
    assert summary.report("out.json") == 0
    assert capsys.readouterr().out.splitlines() == [
        "1 masks of 1 images, 0 images failed, 2 bad masks or records left out: out.json",
        f"note: {told}",
    ]


def test_a_few_that_are_left_out_need_no_more_than_the_count():
    assert mostly_left_out({"a.png": ["damaged"]}, masks=1) == []
    assert mostly_left_out({}, masks=0) == []


def _record(key, *annotations, told=(), **fields):
    result = {"height": 2, "width": 3, "annotations": list(annotations), "told": list(told)}
    return Record(key, result=result, **fields)


def test_a_tally_counts_what_is_refined():
    tally = Tally()
    one = {"category_id": 7, "score": 1.0}
    for record in (
        _record("a.png", one, one, told=["soft rims"]),
        _record("b.png", told=["soft rims"], notes=["b.png: damaged"]),
        Record("c.png", error="c.png: not an image"),
        Record("record 3", notes=["no such image"]),
    ):
        tally.add(record)
    assert (tally.images, tally.masks, tally.empty, tally.labels) == (2, 2, 1, {7})
    assert tally.bad == "b.png: damaged"
    assert list(tally.notes) == ["b.png", "record 3"]
    assert tally.remarks("constant") == ["soft rims"]
    assert ["no scores of their own" in one for one in tally.remarks("source")] == [False, True]


def test_photos_that_are_not_turned_are_told_in_one_line():
    tally = Tally()
    for number in range(5):
        tally.add(_record(f"{number}.jpg", remarks=["as stored"]))
    assert any("5, not turned (0.jpg, 1.jpg, 2.jpg, ...)" in one for one in tally.remarks("source"))
