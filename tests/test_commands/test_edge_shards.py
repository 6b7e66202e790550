"""``trace-mm edges`` on shards, local and of a real S3 server."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.s3_server import s3_proxy
from tests.test_jobs.test_edge_shards import write_shards
from trace_mm.cli import main
from trace_mm.files.addresses import join_address
from trace_mm.files.stores import list_files, read_bytes

ROOT = Path(__file__).parents[2]


def _edges(*arguments):
    return main(["edges", *map(str, arguments)])


def _contents(out):
    return {
        name: read_bytes(join_address(out, name))
        for name in list_files(out)
        if name.endswith(".tar")
    }


@pytest.fixture
def shards(tmp_path):
    write_shards(tmp_path / "shards")
    return tmp_path / "shards"


def test_shards_become_shards(shards, sobel, tmp_path, capsys):
    pattern, out = shards / "{000000..000003}.tar", tmp_path / "out"
    assert _edges(pattern, "--out", out, "--model", sobel, "--batch-size", 4) == 0
    said = "4 shards done (24 images, 0 of them failed), 0 were done before, 0 failed: "
    assert capsys.readouterr().out == f"{said}{out}\n"
    assert sorted(_contents(out)) == [f"{number:06d}.tar" for number in range(4)]
    assert _edges(*shards.iterdir(), "--out", out, "--model", sobel) == 0
    assert capsys.readouterr().out.startswith("0 shards done (0 images, 0 of them failed), 4 were")
    assert _edges(pattern, "--out", tmp_path / "2", "--model", sobel, "--workers", 2) == 0
    assert _contents(tmp_path / "2") == _contents(out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{shards}/{{0..1}}.tar", "--root", "x", "--out", "out"], "--root has no effect"),
        (["{shards}/000000.tar", "photos", "--out", "out"], "photos: shards are called .tar"),
        (["{shards}/000000.tar", "--out", "{shards}"], "000000.tar, which is read, lies in"),
        (["{shards}", "--out", "s3://bucket/out"], "s3://bucket/out: only shards are written to"),
        (["{shards}", "--image-extension", "jpg", "--out", "out"], "no effect without shards"),
        (["nostore://a/1.tar", "--out", "nostore://out"], "fsspec knows no store of the kind"),
    ],
)
def test_bad_input_is_one_line(shards, sobel, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    arguments = [text.format(shards=shards) for text in arguments]
    assert _edges(*arguments, "--model", sobel) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert re.match("trace-mm: error: .*" + re.escape(message), line)


def test_a_killed_command_on_a_store_goes_on(sobel, tmp_path, monkeypatch, capsys):
    """The real command in a real process; what is killed costs the shard that it was at."""
    with s3_proxy(monkeypatch):
        write_shards("s3://bucket/shards", samples=120)
        write_shards(tmp_path / "shards", samples=120)
        given = ["s3://bucket/shards/{000000..000003}.tar", "--out", "s3://bucket/out"]
        command = [sys.executable, "-m", "trace_mm", "edges", *given, "--model", sobel]
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ, stderr=subprocess.DEVNULL)
        while process.poll() is None and not _contents("s3://bucket/out"):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = len(_contents("s3://bucket/out"))
        assert done >= 1
        assert _edges(*given, "--model", sobel) == 0
        said = f"{4 - done} shards done ({120 * (4 - done)} images, 0 of them failed), {done} were"
        assert capsys.readouterr().out.startswith(said)
        local = [tmp_path / "shards/{000000..000003}.tar", "--out", tmp_path / "out"]
        assert _edges(*local, "--model", sobel) == 0
        assert _contents("s3://bucket/out") == _contents(tmp_path / "out")
