"""What a run of refinement says of itself at its end."""

from trace_mm.apis.refinement_summary import RefinementSummary, mostly_left_out


def test_more_left_out_than_written_is_told():
    notes = {"a.png": ["masks.json: annotations[2]: RLE is damaged"], "record 3": ["no such image"]}
    (told,) = mostly_left_out(notes, masks=1)
    assert "2 bad masks or records" in told and "annotations[2]: RLE is damaged" in told
    summary = RefinementSummary(1, 1, notes=notes, remarks=[told])
    assert summary.describe("out.json").splitlines()[1] == f"note: {told}"


def test_a_few_that_are_left_out_need_no_more_than_the_count():
    assert mostly_left_out({"a.png": ["damaged"]}, masks=1) == []
    assert mostly_left_out({}, masks=0) == []
