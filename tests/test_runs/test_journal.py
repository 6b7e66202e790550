"""A journal holds what was done, whatever was killed while it was written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mm.runs.journal import Journal, JournalPart, is_empty, listed_outputs
from trace_mm.runs.packed import Keys
from trace_mm.runs.records import Record, read_record

SETTINGS = {"seed": 0}
KEYS = Keys(["a", "b", "c"])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "manifest.jsonl"


def _write(path, rank, *records):
    with JournalPart(path, rank, SETTINGS) as part:
        for record in records:
            part.add(record)


def _merge(path, keys=KEYS, keep_others=False):
    with Journal(path, SETTINGS, keys) as journal:
        journal.merge(keep_others)


def test_parts_become_one_file_in_the_order_of_keys(path):
    _write(path, 0, Record("c"), Record("a", outputs={"edges/a.png": 7}))
    _write(path, 1, Record("b", error="b: broken"))
    _merge(path)
    assert [file.name for file in path.parent.iterdir()] == ["manifest.jsonl"]
    assert path.read_text().splitlines() == [
        '{"format": 2, "settings": {"seed": 0}}',
        '{"key": "a", "outputs": {"edges/a.png": 7}}',
        '{"error": "b: broken", "key": "b"}',
        '{"key": "c"}',
    ]
    assert list(listed_outputs(path)) == [("edges/a.png", 7)]


def test_a_later_record_replaces_an_earlier_one(path):
    _write(path, 0, Record("a", {"size": 1}), Record("b"), Record("c", error="c: gone"))
    _merge(path)
    _write(path, 0, Record("c"), Record("a", {"size": 2}), Record("b", error="b: broken"))
    with Journal(path, SETTINGS, KEYS) as journal:
        before = list(journal.records())
        assert [record.error for record in before] == [None, "b: broken", None]
        assert journal.record(0) == Record("a", {"size": 2})
        journal.merge(keep_others=True)
        assert list(journal.records()) == before  # it goes on with the file that it has written
    with Journal(path, SETTINGS, KEYS) as journal:
        assert list(journal.records()) == before


def test_a_journal_in_order_is_not_written_again(path):
    _write(path, 0, Record("b"), Record("a"))
    _merge(path)
    before = path.stat().st_ino
    _merge(path)
    assert path.stat().st_ino == before
    _merge(path, Keys(["b"]))
    assert path.stat().st_ino != before


def test_what_is_added_is_known_at_once(path):
    _write(path, 0, Record("a", error="a: broken"), Record("b"))
    _merge(path)
    with Journal(path, SETTINGS, KEYS) as journal:
        assert not journal.has(2)
        journal.add(2, Record("c", error="c: gone"))
        journal.add(0, Record("a"))
        assert (journal.record(0), journal.record(2)) == (Record("a"), Record("c", error="c: gone"))
        assert [record.key for record in journal.failures()] == ["c"]
        journal.merge(keep_others=False)
        expected = [Record("a"), Record("b"), Record("c", error="c: gone")]
        assert list(journal.records()) == expected
    with Journal(path, SETTINGS, KEYS) as journal:
        assert list(journal.records()) == expected
        assert [record.key for record in journal.failures()] == ["c"]


def test_parts_of_others_are_found_at_the_end(path):
    _merge(path)
    with Journal(path, SETTINGS, KEYS) as journal:
        journal.add(0, Record("a"))
        _write(path, 1, Record("c"), Record("b"))
        journal.merge(keep_others=False)
        assert [record.key for record in journal.records()] == ["a", "b", "c"]
    assert [file.name for file in path.parent.iterdir()] == ["manifest.jsonl"]


@pytest.mark.parametrize(("order", "torn"), [("abc", b""), ("acb", b""), ("abc", b'{"key')])
def test_a_part_in_order_becomes_the_journal(path, order, torn):
    _merge(path)
    _write(path, 0, *(Record(key) for key in order))
    part = path.with_name("manifest.rank-0000.jsonl")
    part.write_bytes(part.read_bytes() + torn)
    before = part.stat().st_ino
    _merge(path)
    assert (path.stat().st_ino == before) == (order == "abc" and not torn)
    assert [file.name for file in path.parent.iterdir()] == ["manifest.jsonl"]
    assert [json.loads(line).get("key") for line in path.open()] == [None, "a", "b", "c"]


@given(cut=st.integers(0, 400))
def test_a_torn_part_loses_what_is_torn_only(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("torn") / "manifest.jsonl"
    records = [Record(key, {"size": 10}, {f"{key}.png": 5}) for key in "abc"]
    _write(path, 0, *records)
    part = path.with_name("manifest.rank-0000.jsonl")
    data = part.read_bytes()[:cut]
    part.write_bytes(data)
    whole = max(0, data.count(b"\n") - 1)
    assert is_empty(path) == (whole == 0)
    with Journal(path, SETTINGS, KEYS) as journal:
        assert list(journal.records()) == records[:whole]


def test_records_of_other_items_stay_or_go(path):
    _write(path, 0, *(Record(key) for key in ("0", "a", "b", "bb", "z")))
    _merge(path, Keys(["b", "c"]), keep_others=True)
    assert [json.loads(line).get("key") for line in path.open()] == [None, *"0ab", "bb", "z"]
    with Journal(path, SETTINGS, Keys(["b"])) as journal:
        assert [record.key for record in journal.other_records()] == ["0", "a", "bb", "z"]
    newer = Record("a", {"size": 2})
    _write(path, 1, newer)
    with Journal(path, SETTINGS, Keys(["b"])) as journal:
        others = list(journal.other_records())
        assert others == [Record("0"), newer, Record("bb"), Record("z")]
        journal.merge(keep_others=True)
        assert list(journal.other_records()) == others
        journal.merge(keep_others=False)
    assert len(path.read_text().splitlines()) == 2


def test_other_settings_and_files_are_refused(path):
    _write(path, 0, Record("a"))
    with pytest.raises(ValueError, match=r"other settings: seed 0, now 1"):
        Journal(path, {"seed": 1}, KEYS)
    for text in ('{"settings": {}}\n', '{"format"', ""):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"manifest\.jsonl is damaged, or not a journal"):
            Journal(path, SETTINGS, KEYS)


@given(st.text(), st.dictionaries(st.text(), st.integers()), st.lists(st.text()))
def test_records_survive_as_lines(key, values, notes):
    record = Record(key, values, values, {"nested": values}, notes, notes, key or None)
    assert read_record(record.line()) == record


@pytest.mark.parametrize("line", [b"", b"[]\n", b'{"key": 3}\n', b'{"key": "a", "x": 1}\n', b"{"])
def test_anything_else_is_no_record(line):
    assert read_record(line) is None
