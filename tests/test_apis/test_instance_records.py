"""Records of a run, image by image, and the COCO file that they become."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mm.apis.instance_records import (
    Record,
    RecordFile,
    coco_content,
    file_state,
    json_bytes,
    read_records,
)

SETTINGS = {"seed": 1, "sizes": [2, 3]}


def record(name, **values):
    annotation = {"category_id": 1, "area": 3, "score": 0.5}
    return Record(name, 10, 20, **{"height": 4, "width": 5, "annotations": [annotation], **values})


def states(*names):
    return dict.fromkeys(names, (10, 20))


def write(path, *records, settings=SETTINGS):
    with RecordFile(path, settings) as file:
        for one in records:
            file.add(one)
    return path


def test_records_are_read_as_they_were_written(tmp_path):
    records = [record("ä\udcff.png", notes=["left out"]), record("b.png", error="no image")]
    path = write(tmp_path / "records", *records)
    found = read_records([path], SETTINGS, states("ä\udcff.png", "b.png"))
    assert found == {one.name: one for one in records}


def test_ranks_write_files_of_their_own(tmp_path):
    paths = [write(tmp_path / f"rank{rank}", record(f"{rank}.png")) for rank in range(2)]
    assert list(read_records(paths, SETTINGS, states("0.png", "1.png"))) == ["0.png", "1.png"]


def test_appending_keeps_what_is_there(tmp_path):
    path = write(tmp_path / "records", record("a.png"))
    before = path.read_bytes()
    write(path, record("b.png"))
    assert path.read_bytes().startswith(before)
    assert len(read_records([path], SETTINGS, states("a.png", "b.png"))) == 2


def test_a_finished_record_goes_before_a_failed_one(tmp_path):
    done, failed = record("a.png"), record("a.png", error="too dark")
    for records in ([done, failed], [failed, done], [failed, done, failed]):
        path = write(tmp_path / f"{len(list(tmp_path.iterdir()))}", *records)
        assert read_records([path], SETTINGS, states("a.png")) == {"a.png": done}


def test_records_of_files_that_changed_do_not_count(tmp_path):
    path = write(tmp_path / "records", record("a.png"), record("b.png"), record("c.png"))
    now = {"a.png": (10, 20), "b.png": (10, 21)}
    assert list(read_records([path], SETTINGS, now)) == ["a.png"]


@given(kept=st.integers(0, 2000))
def test_a_kill_tears_the_last_line_only(kept):
    names = [f"{number}.png" for number in range(5)]
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "records", *map(record, names))
        whole = path.read_bytes()
        path.write_bytes(whole[:kept])
        lines = whole[:kept].count(b"\n")
        assert list(read_records([path], SETTINGS, states(*names))) == names[: max(0, lines - 1)]
        write(path, *map(record, names[max(0, lines - 1) :]))
        assert path.read_bytes() == whole


def test_other_settings_and_other_files_are_refused(tmp_path):
    path = write(tmp_path / "records", record("a.png"))
    with pytest.raises(ValueError, match=r"records holds results of other .*: seed 1, now 2\."):
        read_records([path], {**SETTINGS, "seed": 2}, {})
    with pytest.raises(ValueError, match="other settings: more None, now True; sizes"):
        read_records([path], {"seed": 1, "more": True}, {})
    for content in (b"photos\n", b"[1]\n", b'{"name": "a.png"}\n'):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="records: damaged, or not written"):
            read_records([path], SETTINGS, {})


def test_lines_that_are_no_records_are_left_out(tmp_path):
    path = write(tmp_path / "records", record("a.png"))
    path.write_bytes(path.read_bytes() + b'\x00\x00\n{"name": "b.png"}\n[]\n')
    assert list(read_records([path], SETTINGS, states("a.png", "b.png"))) == ["a.png"]


def test_state_of_a_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert file_state(path) == (5, path.stat().st_mtime_ns)
    assert file_state(tmp_path / "nowhere") == (-1, -1)


def test_coco_content():
    """Images by rising id, annotation ids from 1, failed images left out."""
    two = record("a.png", annotations=[{"category_id": 1}, {"category_id": 7}])
    records = {one.name: one for one in (two, record("b.png"), record("c.png", error="bad"))}
    ids = {"a.png": 30, "b.png": 4, "c.png": 1}
    content = coco_content(records, ids, {"description": "d"}, {1: "one", 7: "seven"})
    assert content["info"] == {"description": "d"}
    assert content["images"] == [
        {"id": 4, "file_name": "b.png", "height": 4, "width": 5},
        {"id": 30, "file_name": "a.png", "height": 4, "width": 5},
    ]
    numbers = [(entry["id"], entry["image_id"]) for entry in content["annotations"]]
    assert numbers == [(1, 4), (2, 30), (3, 30)]
    assert content["annotations"][2]["category_id"] == 7
    assert content["categories"] == [{"id": 1, "name": "one"}, {"id": 7, "name": "seven"}]
    assert coco_content(records, ids, {})["categories"] == [{"id": 1, "name": "object"}]


def test_json_bytes_hold_any_name():
    written = json_bytes({"file_name": "ä\udcff"})
    assert written.isascii()
    assert json.loads(written) == {"file_name": "ä\udcff"}
