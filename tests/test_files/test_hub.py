"""Loading from a hub, against one that runs on this machine."""

import json
import os
import subprocess
import sys

import pytest
from huggingface_hub.errors import CacheNotFound

from tests.fake_hub import fake_hub
from trace_mm.files.hub import downloaded_files, readable_hub_errors

LOAD = """
import json, sys
from trace_mm.diffusion import load_backbone
from trace_mm.files.hub import downloaded_files
found = {}
for name, options in json.loads(sys.argv[1]).items():
    try:
        backbone = load_backbone(name.partition("#")[0], **options)
        found[name] = float(backbone.null_text["prompt_embeds"].sum())
    except Exception as error:
        found[name] = f"{type(error).__name__}: {error}"
found["files"] = sorted(downloaded_files()["owner/sd15"])
print(json.dumps(found))
"""


@pytest.fixture
def load(tmp_path):
    """Load models in a process of its own: where the hub is, is read at import."""

    def load(address, models):
        places = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hub"), "HF_TOKEN": ""}
        places["TRACE_MM_CACHE"] = str(tmp_path / "cache")
        done = subprocess.run(
            [sys.executable, "-c", LOAD, json.dumps(models)],
            env={**os.environ, **places},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return load


@pytest.mark.slow
def test_a_hub_and_what_it_refuses(sd15_folder, load):
    models = {
        "owner/sd15": {},
        "owner/gated": {},
        "owner/unknown": {},
        "owner/other-kind": {},
        "owner/sd15#revision": {"revision": "gone"},
        "owner/sd15#variant": {"variant": "fp16"},
    }
    with fake_hub({"owner/sd15": sd15_folder}) as address:
        found = load(address, models)
    assert isinstance(found["owner/sd15"], float), found["owner/sd15"]
    assert "unet/diffusion_pytorch_model.safetensors" in found["files"]
    assert found["owner/gated"] == (
        f"FileNotFoundError: owner/gated: this model is gated: accept its terms at "
        f"{address}/owner/gated, then log in with 'hf auth login' or set HF_TOKEN"
    )
    assert "owner/unknown: the hub has no such model, or it is private" in found["owner/unknown"]
    assert "owner/other-kind: the hub's model lacks a file" in found["owner/other-kind"]
    assert "model_index.json" in found["owner/other-kind"]
    assert "owner/sd15: the hub's model has no revision 'gone'" in found["owner/sd15#revision"]
    assert "owner/sd15: the hub's model lacks a file" in found["owner/sd15#variant"]
    assert "fp16" in found["owner/sd15#variant"]

    # The hub is gone now. What was downloaded is enough.
    local = {"local_files_only": True}
    later = load(address, {"owner/sd15": local, "owner/new": local})
    assert later["owner/sd15"] == found["owner/sd15"]
    assert "owner/new: not downloaded yet, and the hub cannot be reached" in later["owner/new"]


def test_other_errors_stay_as_they_are():
    with pytest.raises(ValueError, match=r"^no business of the hub$"), readable_hub_errors("a/b"):
        raise ValueError("no business of the hub")


def test_without_a_cache_nothing_is_downloaded(monkeypatch, tmp_path):
    def no_cache():
        raise CacheNotFound("none", tmp_path)

    monkeypatch.setattr("trace_mm.files.hub.scan_cache_dir", no_cache)
    assert downloaded_files() == {}
