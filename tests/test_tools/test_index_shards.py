"""tools/index_shards.py: shards whose images training reads one by one."""

import subprocess
import sys
from pathlib import Path

from trace_mm.files.shard_index import has_index
from trace_mm.files.shards import ShardWriter

ROOT = Path(__file__).parents[2]


def run(*arguments):
    command = [sys.executable, "tools/index_shards.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_shards_are_indexed_once_and_faults_are_told(tmp_path):
    for name in ("0", "1"):
        with ShardWriter(tmp_path / f"{name}.tar") as shard:
            shard.add("a", {"jpg": b"photo", "json": b"{}"})
    pattern = f"{tmp_path}/{{0..1}}.tar"
    result = run(pattern, "--workers", "2")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "2 shards of 4 files indexed, 0 were before, 0 failed\n"
    assert has_index(tmp_path / "1.tar")
    (tmp_path / "0.tar").write_bytes(b"no shard")
    result = run(pattern, tmp_path / "2.tar")
    assert result.returncode == 1
    assert result.stdout == "0 shards of 0 files indexed, 1 were before, 2 failed\n"
    assert "0.tar: not a whole, uncompressed tar" in result.stderr
    assert "2.tar: no such file" in result.stderr


def test_two_indexes_do_not_share_a_name(tmp_path):
    result = run(tmp_path / "{a,b}" / "0.tar", "--out", tmp_path)
    assert result.returncode == 2
    assert "0.tar is the name of several shards" in result.stderr
