"""What is written lies apart from what is read, and can be written."""

import os

import pytest

from trace_mm.files import check_outputs


@pytest.fixture
def data(tmp_path):
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    (tmp_path / "photos" / "a.png").touch()
    (tmp_path / "masks.json").touch()
    return tmp_path


def contents(folder):
    return sorted(path for path in folder.rglob("*"))


def test_what_lies_apart_may_be_written(data):
    before = contents(data)
    check_outputs(
        files=[data / "out.json", data / "new" / "deep" / "x.json", None],
        folders=[data / "results", None],
        read=[data / "masks.json", data / "not there", None],
        searched=[data / "photos", None],
    )
    check_outputs(files=[data / "photos" / "out.json"], read=[data / "photos"])
    assert contents(data) == before


@pytest.mark.parametrize("kind", ["same", "dotted", "link", "hard link", "link of the folder"])
def test_a_file_that_is_read_is_not_written(data, kind):
    masks = data / "masks.json"
    target = data / "out.json"
    if kind == "same":
        target = masks
    elif kind == "dotted":
        target = data / "photos" / ".." / "masks.json"
    elif kind == "link":
        target.symlink_to(masks)
    elif kind == "hard link":
        os.link(masks, target)
    else:
        (data / "linked").symlink_to(data)
        target = data / "linked" / "masks.json"
    for options in ({"read": [masks]}, {"searched": [masks]}):
        with pytest.raises(ValueError, match=r"would be written onto .*masks\.json, which is read"):
            check_outputs(files=[target], **options)


@pytest.mark.parametrize("target", ["photos", "photos/new", "photos/sub/new.json", "photos/a.png"])
@pytest.mark.parametrize("linked", [True, False])
def test_nothing_is_written_among_what_is_searched(data, target, linked):
    place = data
    if linked:
        place = data / "linked"
        place.symlink_to(data)
    for options in ({"folders": [place / target]}, {"files": [place / target]}):
        with pytest.raises(ValueError, match=r"photos.*, which is read|photos is a folder"):
            check_outputs(**options, searched=[data / "photos"])


def test_a_folder_that_is_written_holds_nothing_that_is_read(data):
    for source in (data / "masks.json", data / "photos", data / "photos" / "a.png"):
        with pytest.raises(ValueError, match=r"which is read, lies in"):
            check_outputs(folders=[data], read=[source])
    (data / "results").mkdir()
    (data / "photos" / "linked.png").symlink_to(data / "results" / "b.png")
    with pytest.raises(ValueError, match=r"linked\.png, which is read, lies in .*results"):
        check_outputs(folders=[data / "results"], read=[data / "photos" / "linked.png"])


def test_spellings_that_the_file_system_takes_for_one(data, monkeypatch):
    """As on file systems that ignore case: two spellings, one file."""
    from trace_mm.files import outputs

    def identity(path):
        return (
            (0, hash(str(path).casefold())) if str(path).casefold().startswith(str(data)) else None
        )

    monkeypatch.setattr(outputs, "_identity", identity)
    with pytest.raises(ValueError, match="written onto"):
        check_outputs(files=[data / "MASKS.json"], read=[data / "masks.json"])
    with pytest.raises(ValueError, match="which is read"):
        check_outputs(folders=[data / "Photos" / "new"], searched=[data / "photos"])


def test_what_cannot_be_written_is_found_at_once(data, monkeypatch):
    with pytest.raises(OSError, match=r"is a file, so no folder.*masks\.json"):
        check_outputs(folders=[data / "masks.json" / "out"])
    with pytest.raises(OSError, match=r"is a file, so no folder.*masks\.json"):
        check_outputs(folders=[data / "masks.json"])
    with pytest.raises(ValueError, match=r"photos is a folder; name a file"):
        check_outputs(files=[data / "photos"])

    def refuse(path, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.touch", refuse)
    with pytest.raises(PermissionError, match=r"Permission denied: '.*new/out'"):
        check_outputs(folders=[data / "new" / "out"])
