"""An exported student goes to a hub, and comes back from there."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.fake_hub import WRITER, fake_hub
from tests.tiny_students import build, shake
from trace_mm.models import save_student
from trace_mm.publish import export_student, plan_upload
from trace_mm.publish import push as pushing

COMMAND = """
import sys
import tests.tiny_students
from trace_mm.cli import main

sys.exit(main(sys.argv[1:]))
"""
READ = """
import sys
import tests.tiny_students
import numpy as np
from trace_mm.apis import TraceInferencer

image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
student = TraceInferencer.from_pretrained(sys.argv[1], device="cpu", method="student")
print(float(student(image)["predictions"][0]["edges"].sum()))
"""


@pytest.fixture(scope="module")
def checkpoint(flow_folder, tmp_path_factory):
    return save_student(shake(build(flow_folder)), tmp_path_factory.mktemp("work") / "iter_9.pth")


@pytest.fixture(scope="module")
def merged(checkpoint, flow_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("exports") / "merged"
    return export_student(checkpoint, out, backbone=flow_folder, merge=True, license="mit")


def run(address, tmp_path, *arguments, token=WRITER):
    hub = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": token}
    hub |= {"HF_HUB_DISABLE_XET": "1", "TRACE_MM_CACHE": str(tmp_path / "cache")}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, **hub},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.slow
def test_a_student_goes_to_the_hub_and_comes_back(checkpoint, flow_folder, tmp_path):
    command = ["-c", COMMAND, "export", checkpoint, "--out", tmp_path / "out", "--merge"]
    command += [
        "--backbone",
        flow_folder,
        "--license",
        "mit",
        "--overwrite",
        "--push",
        "owner/mine",
    ]
    models = {}
    with fake_hub(models, tmp_path / "uploads") as address:
        dry = run(address, tmp_path, *command, "--dry-run")
        assert dry.returncode == 0, dry.stderr
        assert "licence mit: owner/mine" in dry.stdout and not models
        refused = run(address, tmp_path, *command, token="hf_reader")
        assert refused.returncode == 1
        assert "owner/mine: the hub does not let you write there" in refused.stderr
        done = run(address, tmp_path, *command)
        assert done.returncode == 0, done.stderr
        assert f"wrote {address}/owner/mine/commit/" in done.stdout
        found = run(address, tmp_path, "-c", READ, "owner/mine")
        assert found.returncode == 0, found.stderr
    local = run("http://127.0.0.1:9", tmp_path, "-c", READ, tmp_path / "out")
    assert float(found.stdout) == float(local.stdout) > 0
    gone = run("http://127.0.0.1:9", tmp_path, *command)
    assert gone.returncode == 1 and "owner/mine: the hub cannot be reached" in gone.stderr


def test_what_would_be_uploaded_is_listed(merged):
    upload = plan_upload(merged, "owner/mine")
    assert {"README.md", "student.safetensors", "trace_student.json"} <= upload.files.keys()
    assert all(path.stat().st_size == upload.files[path.name] for path in merged.glob("*.json"))
    assert upload.describe()[-1].endswith("MB, licence mit: owner/mine")


@pytest.mark.parametrize("name", ["mine", "a/b/c", "owner/mi ne", "owner/--mine"])
def test_malformed_names_are_refused(merged, name):
    with pytest.raises(ValueError, match=name):
        plan_upload(merged, name)


def test_only_exports_go_to_the_hub(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        plan_upload(tmp_path / "none", "owner/mine")
    (tmp_path / "photo.txt").touch()
    with pytest.raises(ValueError, match="is no export"):
        plan_upload(tmp_path, "owner/mine")


def test_weights_go_with_the_licence_of_their_backbone(merged, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    shutil.copytree(merged, folder)
    card = folder / "README.md"
    card.write_text(card.read_text().replace('license: "mit"', 'license: "other"'))
    with pytest.raises(ValueError, match="whose licence is not known here: export it again"):
        plan_upload(folder, "owner/mine")
    monkeypatch.setattr(
        pushing,
        "read_description",
        lambda _: {"merged": {"backbone": "black-forest-labs/FLUX.1-dev"}},
    )
    card.write_text(card.read_text().replace('license: "other"', 'license: "apache-2.0"'))
    with pytest.raises(ValueError, match=r"under FLUX.1 \[dev\] Non-Commercial, but its card"):
        plan_upload(folder, "owner/mine")
    card.write_text(card.read_text().replace('license: "apache-2.0"', 'license: "other"'))
    assert "is under FLUX.1 [dev] Non-Commercial" in plan_upload(folder, "owner/mine").remark


def test_options_of_an_upload_need_one(checkpoint, tmp_path):
    done = run("", tmp_path, "-m", "trace_mm", "export", checkpoint, "--out", "x", "--dry-run")
    assert done.returncode == 2 and "--dry-run say how to --push" in done.stderr
    assert not done.stdout
