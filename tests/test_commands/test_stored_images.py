"""``trace-mm edges`` on images of a store, one by one: the files of a local run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tests.s3_server import fail_fast, served
from trace_mm.cli import main
from trace_mm.files.stores import put_bytes, put_file, remove_file

ROOT = Path(__file__).parents[2]


@pytest.fixture
def s3(s3_server, monkeypatch):
    s3_server.faults.clear()
    s3_server.requests.clear()
    fail_fast(monkeypatch, tries=4)
    return s3_server


def _copy(folder, address):
    for path in folder.rglob("*"):
        if path.is_file():
            put_file(path, f"{address}/{path.relative_to(folder).as_posix()}")


@pytest.fixture(params=["memory", "s3"])
def store(request, photos):
    """A folder of a store with the photos, and one that is no image."""
    MemoryFileSystem.store.clear()
    top = "memory://data" if request.param == "memory" else "s3://bucket/data"
    if request.param == "s3":
        request.getfixturevalue("s3")
    shutil.copy(photos / "0.png", photos / "sub/0.png")
    shutil.copy(photos / "0.png", photos / "0.bmp")  # whose results would be called like 0.png's
    (photos / "notes.doc").write_text("no image")
    _copy(photos, f"{top}/photos")
    yield top
    for path in photos.rglob("*.*"):
        remove_file(f"{top}/photos/{path.relative_to(photos).as_posix()}")


@pytest.fixture
def edges(sobel, tmp_path, capsys):
    """Runs the command; returns what it said, and the results by name."""

    def run(out, *inputs, status=(0,)):
        given = [*map(str, inputs), "--out", str(tmp_path / out), "--model", sobel]
        assert main(["edges", *given]) in status
        folder = tmp_path / out / "edges"
        names = sorted(path for path in folder.rglob("*") if path.is_file())
        found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in names}
        return capsys.readouterr(), found

    return run


def test_a_folder_gives_the_files_of_a_local_one(store, photos, edges):
    _, plain = edges("plain", photos)
    assert sorted(plain) == [
        "0.bmp.png",
        "0.png.png",
        "2.png",
        "sub/0.png",
        "sub/1.png",
        "sub/3.png",
    ]
    captured, found = edges("out", f"{store}/photos", "--save", "png", "overlay", "--batch-size", 4)
    assert found == plain
    assert captured.out.startswith("6 done, 0 were done before, 0 failed: ")
    note = f"note: {store}/photos: 1 file not named like images passed over (1 .doc)"
    assert note in captured.err.splitlines()
    captured, again = edges("out", f"{store}/photos/")
    assert captured.out.startswith("0 done, 6 were done before")
    assert again == plain


def test_lists_and_coco_files_name_images_of_a_store(store, photos, edges, tmp_path):
    _, plain = edges("plain", photos / "0.png", photos / "sub/1.png")
    names = ["0.png", "sub\\1.png"]
    coco = {"images": [{"id": 2 - n, "file_name": name} for n, name in enumerate(names)]}
    lists = {
        "within.txt": "0.png\nsub/1.png\n",
        "addresses.txt": f"{store}/photos/0.png\n{store}/photos/sub/1.png\n",
        "within.json": json.dumps(coco),
    }
    for name, text in lists.items():
        put_bytes(f"{store}/photos/{name}", text.encode())
        (tmp_path / name).write_text(text)
    expected = {"0.png": plain["0.png"], "sub/1.png": plain["1.png"]}
    root = ["--root", f"{store}/photos"]
    for name in lists:
        assert edges(f"in {name}", f"{store}/photos/{name}")[1] == expected  # where it lies
        assert edges(f"at {name}", tmp_path / name, *root)[1] == expected
        remove_file(f"{store}/photos/{name}")
    assert edges("elsewhere", tmp_path / "addresses.txt")[1] == plain
    assert edges("alone", f"{store}/photos/0.png")[1] == {"0.png": plain["0.png"]}
    mixed = edges("mixed", photos / "0.png", f"{store}/photos/0.png")[1]  # told apart
    assert len(mixed) == 2 and set(mixed.values()) == {plain["0.png"]}


def test_what_changes_in_a_store_is_done_again(store, photos, edges):
    edges("out", f"{store}/photos")
    put_bytes(f"{store}/photos/2.png", (photos / "sub/3.png").read_bytes())
    captured, found = edges("out", f"{store}/photos")
    assert captured.out.startswith("1 done, 5 were done before")
    assert found["2.png"] == found["sub/3.png"]
    captured, _ = edges("out", photos, status=(2,))  # those names are another folder's
    assert f"holds the results of {store}/photos/2.png" in captured.err


def test_an_image_that_cannot_be_read_fails_alone(store, edges):
    put_bytes(f"{store}/photos/2.png", b"no image")
    captured, found = edges("out", f"{store}/photos", status=(1,))
    assert captured.out.startswith("5 done, 0 were done before, 1 failed")
    assert f"{store}/photos/2.png: not an image" in captured.err
    assert "2.png" not in found


def test_what_is_missing_is_one_line(store, edges, tmp_path):
    (tmp_path / "list.txt").write_text(f"{store}/photos/0.png\n{store}/photos/8.png\n")
    (tmp_path / "names.txt").write_text("0.png\n9.png\n")
    put_bytes(f"{store}/empty/notes.doc", b"")
    cases = [
        ([f"{store}/none"], f"{store}/none: no such file or folder"),
        ([f"{store}/photos/*.png"], "no such file or folder (patterns are of local files only)"),
        ([f"{store}/empty"], f"{store}/empty: the folder holds no images; in it: 1 file"),
        ([tmp_path / "list.txt"], f"{store}/photos/8.png: no such image (1 of 2 that "),
        (
            [tmp_path / "names.txt", "--root", f"{store}/photos"],
            f"{store}/photos/9.png: no such image (1 of 2 that ",
        ),
    ]
    for inputs, message in cases:
        captured, found = edges("out", *inputs, status=(2,))
        assert captured.out == "" and found == {}
        (line,) = captured.err.splitlines()
        assert line.startswith("trace-mm: error: ") and message in line
        assert not (tmp_path / "out").exists()


def test_whatever_fails_results_are_those_of_a_store_that_does_not(s3, photos, edges, monkeypatch):
    """Of all requests, each fifth fails in some way."""
    _copy(photos, "s3://bucket/faulty/photos")
    _, plain = edges("plain", photos)
    random, kinds = Random(0), [503, 500, 429, "reset", "cut", "short"]

    def take_fault(method):
        return random.choice(kinds) if random.random() < 1 / 5 else None

    monkeypatch.setattr(s3, "take_fault", take_fault)
    for _ in range(8):  # a request may fail four times
        captured, found = edges("out", "s3://bucket/faulty/photos", status=(0, 1, 2))
        if captured.out and "0 failed" in captured.out:
            break
    assert found == plain


def test_a_store_that_hangs_or_stays_away(s3, photos, edges):
    _copy(photos, "s3://bucket/away/photos")
    s3.faults += [("GET", "hang")]  # the listing, until the time is out
    assert len(edges("out", "s3://bucket/away/photos")[1]) == 4
    s3.faults += [("GET", 503)] * 4
    captured, _ = edges("out", "s3://bucket/away/photos/", status=(1,))
    assert "s3://bucket/away/photos/: cannot be listed: " in captured.err.splitlines()[-1]


def test_requests_are_few(s3, photos, edges):
    _copy(photos, "s3://bucket/few/photos")
    s3.requests.clear()
    edges("out", "s3://bucket/few/photos")
    methods = [method for method, _ in s3.requests]
    assert methods.count("GET") == 2 + 4  # whether it is a folder, what it holds, each image
    assert methods.count("HEAD") == 1 + 4
    s3.requests.clear()
    edges("out", "s3://bucket/few/photos/")
    assert [method for method, _ in s3.requests] == ["GET"]  # nothing to do: the list tells it


def test_a_killed_run_of_processes_goes_on(s3, photos, edges, sobel, tmp_path):
    for number in range(40):
        put_file(photos / "0.png", f"s3://bucket/killed/{number % 3}/{number:02d}.png")
    command = [sys.executable, "-m", "trace_mm", "edges", "s3://bucket/killed", "--workers", "2"]
    command += ["--out", str(tmp_path / "out"), "--model", sobel]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ, stderr=subprocess.DEVNULL)
    while process.poll() is None and len([*(tmp_path / "out").rglob("*.png")]) < 5:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    captured, found = edges("out", "s3://bucket/killed")
    done, before = (int(part.split()[0]) for part in captured.out.split(",")[:2])
    assert (done + before, before >= 1, len(found)) == (40, True, 40)
    assert len(set(found.values())) == 1


def test_a_web_server_that_lists_folders(photos, edges):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format, *arguments):
            pass

    _, plain = edges("plain", photos)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(photos.parent)))
    with served(server):
        address = f"http://127.0.0.1:{server.server_address[1]}/photos/"
        assert edges("out", address)[1] == plain
        captured, _ = edges("out", address)
        assert captured.out.startswith("0 done, 4 were done before")
